"""The exercises of the chapter Sinusoidal frequencies that have an answer."""

from ..sinusoids import frequencies, wavelengths
from .kinds import Exercise, Number

EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-wavelength",
        answer=lambda: wavelengths(64)[10].item(),
        unit="positions",
        right="The wavelength of pair i is 2π · 10000^(2i/d): for pair 10 the exponent is 20/64.",
        mistakes=(
            (
                lambda: frequencies(64)[10].item(),
                "That is the frequency, in radians per position; the wavelength is 2π over it.",
            ),
            (
                lambda: wavelengths(64)[5].item(),
                "The exponent is 2i/d, and i counts pairs: 20/64 for pair 10, not 10/64.",
            ),
            (
                lambda: wavelengths(64)[10].item() / 6.283185307179586,
                "A hand turns once when its angle has grown by 2π: the factor 2π is missing.",
            ),
        ),
    ),
)
