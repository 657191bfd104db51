"""Synthesised notes: windows of polyphonic sound with the notes that sound in them, the same on every machine."""

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 22050
WINDOW = 43844  # samples that the network takes, about two seconds
HOP, FRAMES, PITCHES, LOWEST = 256, 172, 88, 21  # its frames and its piano keys, the lowest being MIDI note 21
SPLITS = {"evaluation": (0, 24), "calibration": (1, 32), "confirmation": (2, 24)}


@dataclass(frozen=True)
class Note:
    """One note: MIDI pitch, begin and length in seconds, loudness between 0 and 1."""

    pitch: int
    begin: float
    length: float
    loudness: float


def windows(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Sound (N, 43844, 1) and the notes that sound in each frame (N, 172, 88), as 0 and 1."""
    seed, count = SPLITS[split]
    generator = np.random.default_rng([2024, seed])
    made = [_window(generator) for _ in range(count)]
    return np.stack([sound for sound, _ in made])[..., None], np.stack([roll for _, roll in made])


def _window(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A few notes over a floor of noise, brought to a random level."""
    sound, roll = np.zeros(WINDOW), np.zeros((FRAMES, PITCHES), np.float32)
    for note in _notes(generator):
        sound += _tone(note, generator)
        first, last = (round(t * SAMPLE_RATE / HOP) for t in (note.begin, note.begin + note.length))
        roll[first:last, note.pitch - LOWEST] = 1
    sound += generator.normal(0, 0.001, WINDOW)
    return (sound / np.abs(sound).max() * generator.uniform(0.2, 0.9)).astype(np.float32), roll


def _notes(generator: np.random.Generator) -> list[Note]:
    """Three to seven notes of a scale in the middle of the keyboard."""
    scale = [48 + step + 12 * octave for octave in range(3) for step in (0, 2, 4, 5, 7, 9, 11)]
    pitches = generator.choice(scale, generator.integers(3, 8), replace=False)
    return [
        Note(
            int(pitch),
            *map(float, (generator.uniform(0, 1.4), generator.uniform(0.25, 0.6), generator.uniform(0.4, 1))),
        )
        for pitch in pitches
    ]


def _tone(note: Note, generator: np.random.Generator) -> np.ndarray:
    """Partials that fade, the higher the sooner, as on a plucked or struck string; silence before and after."""
    first, last = round(note.begin * SAMPLE_RATE), round((note.begin + note.length) * SAMPLE_RATE)
    time = np.arange(last - first) / SAMPLE_RATE
    frequency = 440 * 2 ** ((note.pitch - 69) / 12)
    sound = np.zeros(len(time))
    for partial in range(1, 9):
        fade = np.exp(-time * (1.5 + 0.4 * partial))
        phase = generator.uniform(0, 2 * np.pi)
        if partial * frequency < SAMPLE_RATE / 2:
            sound += np.sin(2 * np.pi * partial * frequency * time + phase) * fade / partial**1.3
    rise, fall = np.clip(time / 0.006, 0, 1), np.clip((note.length - time) / 0.03, 0, 1)
    tone = np.zeros(WINDOW)
    tone[first:last] = (note.loudness * sound * rise * fall)[: WINDOW - first]
    return tone
