"""Prints tests/fixtures/muon_update.inc: one update of Muon (Jordan et al. 2024) with the scale of arXiv:2502.16982, by
NumPy in f64.

    python3 tests/reference/muon.py > tests/fixtures/muon_update.inc
"""

import numpy

gradient = numpy.array([i * 7 % 12 - 5 for i in range(12)], dtype=numpy.float64).reshape(3, 4)
momentum = numpy.array([i % 5 / 4 - 0.5 for i in range(12)]).reshape(3, 4)
mu = numpy.float64(numpy.float32(0.95))

momentum = mu * momentum + (1 - mu) * gradient
x = (1 - mu) * gradient + mu * momentum
x = x / (numpy.linalg.norm(x) + 1e-7)
for _ in range(5):
    gram = x @ x.T
    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
for row in 0.2 * numpy.sqrt(4) * x:
    print(" ".join(f"{value:.12f}," for value in row))
