"""Tasks: rows of id, text, label and group, and their four splits.

Here text enters, once, and every row gets an id; afterwards only ids travel.
"""

from w2sprobe.data.rows import Rows as Rows
from w2sprobe.data.rows import join_rows as join_rows
from w2sprobe.data.rows import truth_table as truth_table
from w2sprobe.data.splits import SPLIT_NAMES as SPLIT_NAMES
from w2sprobe.data.splits import Splits as Splits
from w2sprobe.data.splits import SplitSizes as SplitSizes
from w2sprobe.data.splitting import make_splits as make_splits
from w2sprobe.data.stress import Stress as Stress
from w2sprobe.data.tasks import Task as Task
from w2sprobe.data.tasks import load_splits as load_splits
from w2sprobe.data.tasks import load_task as load_task
