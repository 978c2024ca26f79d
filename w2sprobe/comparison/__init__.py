"""Methods compared over tasks and seeds: scores in, differences and tests out.

`docs/statistics.md` says what each number means and when not to trust it.
"""

from w2sprobe.comparison.analysis import ALPHA as ALPHA
from w2sprobe.comparison.analysis import MARGIN as MARGIN
from w2sprobe.comparison.analysis import Analysis as Analysis
from w2sprobe.comparison.compare import BASELINES as BASELINES
from w2sprobe.comparison.compare import Comparison as Comparison
from w2sprobe.comparison.compare import FamilyRow as FamilyRow
from w2sprobe.comparison.compare import MethodRow as MethodRow
from w2sprobe.comparison.compare import PairRow as PairRow
from w2sprobe.comparison.compare import compare as compare
from w2sprobe.comparison.differences import Difference as Difference
from w2sprobe.comparison.differences import Judgement as Judgement
from w2sprobe.comparison.differences import judgement as judgement
from w2sprobe.comparison.differences_file import check_differences_file as check_differences_file
from w2sprobe.comparison.differences_file import write_differences as write_differences
from w2sprobe.comparison.family import Role as Role
from w2sprobe.comparison.family import is_competitor as is_competitor
from w2sprobe.comparison.family import role_of as role_of
from w2sprobe.comparison.gains import GainRow as GainRow
from w2sprobe.comparison.gains import gains as gains
from w2sprobe.comparison.indicator_rows import INDICATORS as INDICATORS
from w2sprobe.comparison.indicator_rows import IndicatorRow as IndicatorRow
from w2sprobe.comparison.indicator_rows import read_indicators as read_indicators
from w2sprobe.comparison.matrix import Matrix as Matrix
from w2sprobe.comparison.matrix import MatrixCell as MatrixCell
from w2sprobe.comparison.matrix import matrix as matrix
from w2sprobe.comparison.overview import Overview as Overview
from w2sprobe.comparison.overview import overview as overview
from w2sprobe.comparison.published import Published as Published
from w2sprobe.comparison.published import published as published
from w2sprobe.comparison.scores import SCORES as SCORES
from w2sprobe.comparison.scores import Pair as Pair
from w2sprobe.comparison.scores import Score as Score
from w2sprobe.comparison.scores import by_pair as by_pair
from w2sprobe.comparison.scores import complete_scores as complete_scores
from w2sprobe.comparison.scores import pair_name as pair_name
from w2sprobe.comparison.scores import read_scores as read_scores
from w2sprobe.comparison.seeds import SeedComponent as SeedComponent
from w2sprobe.comparison.seeds import SeedRow as SeedRow
from w2sprobe.comparison.sources import PUBLISHED as PUBLISHED
from w2sprobe.comparison.sources import LoadedScores as LoadedScores
from w2sprobe.comparison.sources import read_sources as read_sources
from w2sprobe.comparison.sources import study_overview as study_overview
from w2sprobe.comparison.supervisor_gains import SupervisorGain as SupervisorGain
from w2sprobe.comparison.supervisor_gains import TaskGain as TaskGain
from w2sprobe.comparison.supervisor_gains import supervisor_gains as supervisor_gains
from w2sprobe.comparison.tasks import UNITS as UNITS
from w2sprobe.comparison.tasks import TaskRow as TaskRow
from w2sprobe.comparison.tasks import Unit as Unit
from w2sprobe.comparison.tasks import by_method as by_method
from w2sprobe.comparison.tasks import task_rows as task_rows
