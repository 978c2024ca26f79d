"""AUC, performance gap recovered (PGR), and how sure we are of them: numpy and scipy only.

- One task: `roc_auc`, `soft_auc`, `pgr`, `bootstrap_pgr`; out-of-fold scores: `auc_inside_folds`;
  decisions, calibration and groups: `performance` and the functions it collects; recall at a rate
  of false alarms: `recalls_at_fpr`; test rows needed for a gap: `rows_to_resolve`, `rows_for_gap`;
  error similarity of two models: `capa`.
- Several tasks: `task_mean`, `paired_tests`, `equivalence`, `holm`, `pool_tasks`, `pooled_pgr`,
  `rank_correlation`; before any is run: `detectable_effect`, `least_pvalue`.
- Several runs: `recover`, `mean_scores`, `variance_components`.
- Filters of labels: `scorecard`, `overlap`.

`docs/statistics.md` says what each number means. scipy.stats takes a second to load and is imported
where it is used: every command, and the completion of its options, imports this package.
"""

from w2sprobe.metrics.auc import roc_auc as roc_auc
from w2sprobe.metrics.auc import soft_auc as soft_auc
from w2sprobe.metrics.drift import MIN_ROWS as MIN_ROWS
from w2sprobe.metrics.drift import TOLERANCE as TOLERANCE
from w2sprobe.metrics.drift import Verdict as Verdict
from w2sprobe.metrics.drift import auc_change as auc_change
from w2sprobe.metrics.drift import auc_estimate as auc_estimate
from w2sprobe.metrics.drift import judge as judge
from w2sprobe.metrics.error_similarity import capa as capa
from w2sprobe.metrics.estimates import CONFIDENCE as CONFIDENCE
from w2sprobe.metrics.estimates import Estimate as Estimate
from w2sprobe.metrics.estimates import mean_of_runs as mean_of_runs
from w2sprobe.metrics.folds import FoldAUC as FoldAUC
from w2sprobe.metrics.folds import auc_inside_folds as auc_inside_folds
from w2sprobe.metrics.gaps import MIN_GAP as MIN_GAP
from w2sprobe.metrics.gaps import MIN_GAP_SE as MIN_GAP_SE
from w2sprobe.metrics.gaps import TIE_DECIMALS as TIE_DECIMALS
from w2sprobe.metrics.gaps import expected_gap_se as expected_gap_se
from w2sprobe.metrics.gaps import gap_objection as gap_objection
from w2sprobe.metrics.gaps import rows_for_gap as rows_for_gap
from w2sprobe.metrics.gaps import rows_to_resolve as rows_to_resolve
from w2sprobe.metrics.influence import accuracy_influence as accuracy_influence
from w2sprobe.metrics.influence import auc_influence as auc_influence
from w2sprobe.metrics.monitoring import FALSE_POSITIVE_RATES as FALSE_POSITIVE_RATES
from w2sprobe.metrics.monitoring import RecallAtFPR as RecallAtFPR
from w2sprobe.metrics.monitoring import recall_at_fpr as recall_at_fpr
from w2sprobe.metrics.monitoring import recalls_at_fpr as recalls_at_fpr
from w2sprobe.metrics.nested import Means as Means
from w2sprobe.metrics.nested import ScoredRun as ScoredRun
from w2sprobe.metrics.nested import mean_scores as mean_scores
from w2sprobe.metrics.operating_point import Rate as Rate
from w2sprobe.metrics.operating_point import RateChange as RateChange
from w2sprobe.metrics.operating_point import rate_change as rate_change
from w2sprobe.metrics.operating_point import rates_at as rates_at
from w2sprobe.metrics.pooling import PooledTasks as PooledTasks
from w2sprobe.metrics.pooling import RatioOfMeans as RatioOfMeans
from w2sprobe.metrics.pooling import pool_tasks as pool_tasks
from w2sprobe.metrics.pooling import pooled_pgr as pooled_pgr
from w2sprobe.metrics.power import detectable_effect as detectable_effect
from w2sprobe.metrics.power import least_pvalue as least_pvalue
from w2sprobe.metrics.probabilities import MIN_GROUP_ROWS as MIN_GROUP_ROWS
from w2sprobe.metrics.probabilities import N_BINS as N_BINS
from w2sprobe.metrics.probabilities import accuracy as accuracy
from w2sprobe.metrics.probabilities import best_threshold as best_threshold
from w2sprobe.metrics.probabilities import brier as brier
from w2sprobe.metrics.probabilities import (
    expected_calibration_error as expected_calibration_error,
)
from w2sprobe.metrics.probabilities import log_loss as log_loss
from w2sprobe.metrics.probabilities import mean_performance as mean_performance
from w2sprobe.metrics.probabilities import performance as performance
from w2sprobe.metrics.ranks import RankCorrelation as RankCorrelation
from w2sprobe.metrics.ranks import rank_correlation as rank_correlation
from w2sprobe.metrics.recovery import BootstrapPGR as BootstrapPGR
from w2sprobe.metrics.recovery import auc_intervals as auc_intervals
from w2sprobe.metrics.recovery import bootstrap_pgr as bootstrap_pgr
from w2sprobe.metrics.recovery import gap_recovered as gap_recovered
from w2sprobe.metrics.recovery import pgr as pgr
from w2sprobe.metrics.recovery import recover as recover
from w2sprobe.metrics.recovery import share_interval as share_interval
from w2sprobe.metrics.scorecard import Scorecard as Scorecard
from w2sprobe.metrics.scorecard import overlap as overlap
from w2sprobe.metrics.scorecard import scorecard as scorecard
from w2sprobe.metrics.seeds import Component as Component
from w2sprobe.metrics.seeds import variance_components as variance_components
from w2sprobe.metrics.tasks import ALTERNATIVES as ALTERNATIVES
from w2sprobe.metrics.tasks import Alternative as Alternative
from w2sprobe.metrics.tasks import PairedTests as PairedTests
from w2sprobe.metrics.tasks import TaskMean as TaskMean
from w2sprobe.metrics.tasks import equivalence as equivalence
from w2sprobe.metrics.tasks import holm as holm
from w2sprobe.metrics.tasks import paired_tests as paired_tests
from w2sprobe.metrics.tasks import task_mean as task_mean
