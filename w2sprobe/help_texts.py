"""Help of settings that several commands, or a command and a section of a config, have."""

MODEL_NAMES = "name from `w2sprobe fetch`, Hugging Face name or local folder"
MODEL = f"Model: {MODEL_NAMES}."
TRUNCATE = "Truncate texts longer than the model's context; default: stop with an error."
LABEL_TABLE = (
    "Label table: Parquet or CSV with columns id, soft_label (P(label = 1)) and, optionally, keep "
    "(false: do not train on the row)."
)
LAYERS = (
    "Layers: all; mid (middle); 16; 8,12,16; 8:24:2 (as a Python slice); 0.5 (relative depth); -1 "
    "(last). 0 is the embedding output."
)
PREPROCESS = (
    "Scaling of activations, fitted on the training rows: none or standardize; center gives the "
    "same predictions as none."
)
WHITEN = "mass-mean probe: multiply by the inverse within-class covariance."
GRAPH = (
    "TopoFilter: neighbours joined by an edge. union: either row lists the other; mutual: both do; "
    "strong: strongly connected components, as in EleutherAI/w2s."
)
FILTER_RULES = (
    "disagreement (largest |label - prediction|), confident-learning (least probable label; needs "
    "the extra cleanlab), deep-knn (most neighbours with the other label; knn only)"
)
QUESTION = (
    "Question inserted after each text and before `Answer (Yes or No):`; for texts that ask "
    "nothing themselves."
)
ANSWERS = "Words for label 0 and label 1, without a leading space."
IN_SAMPLE = "Also score fits on the rows they were fitted on, as in EleutherAI/w2s."
CEILING = "Also fit on the true labels of the training rows, as an upper bound."
LEAVE_ONE_OUT = (
    "Predict kNN training rows leave-one-out instead of by folds, and rank all rows together. "
    "Biased against large k: with 400 random labels, AUC is .47 at k = 200 instead of .50."
)
MIN_GAP = (
    "Smallest gap (ceiling AUC minus weak AUC) for which PGR is used; tasks below it are excluded "
    "from PGR."
)
MIN_GAP_SE = (
    "Smallest ratio of the gap to its standard error for which PGR is used, where that error is "
    "known."
)
FAMILY = (
    "Methods whose p values are adjusted together (Holm). Default: all except the baseline, "
    "controls, zero_shot and methods fitted on true labels."
)
MARGIN = "Equivalence margin: mean AUC differences smaller than this count as no difference."
