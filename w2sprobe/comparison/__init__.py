"""Methods compared over tasks and seeds: scores in, differences and tests out.

`docs/statistics.md` says what each number means and when not to trust it.
"""

from w2sprobe.comparison.compare import UNITS as UNITS
from w2sprobe.comparison.compare import Comparison as Comparison
from w2sprobe.comparison.compare import Difference as Difference
from w2sprobe.comparison.compare import MethodRow as MethodRow
from w2sprobe.comparison.compare import PairRow as PairRow
from w2sprobe.comparison.compare import SeedRow as SeedRow
from w2sprobe.comparison.compare import TaskRow as TaskRow
from w2sprobe.comparison.compare import compare as compare
from w2sprobe.comparison.published import Published as Published
from w2sprobe.comparison.published import published as published
from w2sprobe.comparison.scores import Score as Score
from w2sprobe.comparison.scores import complete_scores as complete_scores
from w2sprobe.comparison.scores import read_scores as read_scores
