"""Writes the fixtures of tests/data/sounds.rs: spectrograms by librosa, and small sound files.

    pip install librosa==0.11.0 soundfile==0.14.0
    python3 tests/golden/make_sounds.py
"""
import json
import pathlib

import librosa
import numpy as np
import soundfile

HERE = pathlib.Path(__file__).parent
FIELDS = ["sample-rate", "duration", "n-fft", "window-length", "hop", "mel-bands", "mel-scale", "centred"]
CASES = [
    [16000, 0.25, 1024, 512, 256, 20, "slaney", True],
    [44100, 0.1, 1024, 512, 300, 24, "htk", True],
    [8000, 0.3, 256, 255, 128, 16, "slaney", False],
    [16000, 0.2, 1000, 400, 160, 12, "htk", False],
]


def signal(rate, seconds):
    """A rising tone with noise that becomes silent after three quarters; the test computes the same."""
    count = round(rate * seconds)
    state, samples = 1, []
    for i in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        t = i / rate
        loud = 1.0 if i < count * 3 // 4 else 0.0
        samples.append(loud * (0.5 * np.sin(2 * np.pi * (300 + 2000 * t) * t) + 0.02 * (state / 2**30 - 1)))
    return np.array(samples, np.float32)


def spectrogram(rate, seconds, n_fft, window, hop, bands, scale, centred):
    stft = librosa.stft(
        signal(rate, seconds), n_fft=n_fft, hop_length=hop, win_length=window, window="hamming", center=centred
    )
    roots = np.sqrt(np.abs(stft))
    mel = librosa.feature.melspectrogram(S=roots, sr=rate, n_fft=n_fft, n_mels=bands, htk=scale == "htk")
    with np.errstate(divide="ignore"):
        return np.clip(1 + np.log10(mel / mel.max()) / 2, 0, 1)


def main():
    rows = []
    for case in CASES:
        values = spectrogram(*case)
        rows.append({**dict(zip(FIELDS, case)), "frames": values.shape[1],
                     "values": [round(float(value), 6) for value in values.ravel()]})
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (HERE / "sounds.json").write_text(f"[\n{lines}\n]\n")
    clip = signal(16000, 0.25)
    for ending, how in [("flac", {"subtype": "PCM_16"}), ("ogg", {"subtype": "VORBIS"}), ("mp3", {})]:
        soundfile.write(HERE / f"sounds.{ending}", clip, 16000, **how)


main()
