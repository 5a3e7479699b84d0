"""Int8 files: near the exact ones, and on pixels that the network reduces itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recognizer.lab.training.quantization import narrow_kernel


@given(outputs=st.integers(1, 5), channels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_kernel_of_four_pixels_is_made_narrow(outputs, channels, seed):
    kernel = np.random.default_rng(seed).integers(-64, 64, (outputs, channels, 3, 3), np.int8)
    wide = np.zeros((2, outputs, 4, channels, 3, 2), kernel.dtype)
    for place in range(2):
        for column in range(3):
            block, pixel = divmod(2 * place + column, 4)
            wide[place, :, pixel, :, :, block] = kernel[:, :, :, column]
    found = narrow_kernel(wide.reshape(2 * outputs, 4 * channels, 3, 2))
    np.testing.assert_array_equal(found, kernel)
