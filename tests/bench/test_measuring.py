import numpy as np

from w2sprobe.bench.measuring import synthetic_layer


def test_a_synthetic_layer_is_reproducible_and_has_a_falling_spectrum() -> None:
    X, soft = synthetic_layer(400, 32)
    again, _ = synthetic_layer(400, 32)
    np.testing.assert_array_equal(X, again)
    assert X.dtype == np.float32
    assert ((soft > 0) & (soft < 1)).all()
    variances = np.linalg.eigvalsh(np.cov(X.T))
    assert variances[-1] > 20 * np.median(variances)
