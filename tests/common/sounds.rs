//! Sounds that tests write: WAV files, and data sets of them.

use std::f64::consts::PI;

/// The encoding of samples in a WAV file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
}

/// The bytes of a WAV file: `samples` from -1 to 1, interleaved.
pub fn wav(encoding: Encoding, channels: u16, rate: u32, samples: &[f64]) -> Vec<u8> {
    let (bits, format): (u16, u16) = match encoding {
        Encoding::Unsigned8 => (8, 1),
        Encoding::Signed16 => (16, 1),
        Encoding::Signed24 => (24, 1),
        Encoding::Signed32 => (32, 1),
        Encoding::Float32 => (32, 3),
    };
    let encoded = |sample: f64| match encoding {
        Encoding::Unsigned8 => vec![(sample * 127.0 + 128.0) as u8],
        Encoding::Signed16 => ((sample * 32767.0) as i16).to_le_bytes().to_vec(),
        Encoding::Signed24 => ((sample * 8_388_607.0) as i32).to_le_bytes()[..3].to_vec(),
        Encoding::Signed32 => ((sample * 2_147_483_647.0) as i32).to_le_bytes().to_vec(),
        Encoding::Float32 => (sample as f32).to_le_bytes().to_vec(),
    };
    let data: Vec<u8> = samples.iter().flat_map(|&sample| encoded(sample)).collect();
    let (frame, length) = (channels * bits / 8, data.len() as u32);
    let mut bytes = [&b"RIFF"[..], &(36 + length).to_le_bytes(), b"WAVEfmt ", &16u32.to_le_bytes()].concat();
    bytes.extend([format.to_le_bytes(), channels.to_le_bytes()].concat());
    bytes.extend([rate.to_le_bytes(), (rate * u32::from(frame)).to_le_bytes()].concat());
    bytes.extend([frame.to_le_bytes(), bits.to_le_bytes()].concat());
    bytes.extend([&b"data"[..], &length.to_le_bytes()].concat());
    bytes.extend(data);
    bytes
}

/// A tone of this frequency.
pub fn tone(frequency: f64, rate: u32, seconds: f64) -> Vec<f64> {
    let count = (seconds * f64::from(rate)).round() as usize;
    (0..count).map(|i| 0.5 * (2.0 * PI * frequency * i as f64 / f64::from(rate)).sin()).collect()
}

/// A file of a tone, 8 kHz, a quarter of a second.
pub fn beep(frequency: f64) -> Vec<u8> {
    wav(Encoding::Signed16, 1, 8000, &tone(frequency, 8000, 0.25))
}

/// The rising tone of `tests/golden/make_sounds.py`.
pub fn signal(rate: u32, seconds: f64) -> Vec<f32> {
    let count = (f64::from(rate) * seconds).round() as usize;
    let mut state: u64 = 1;
    let mut sample = |i: usize| {
        state = (state * 1_103_515_245 + 12345) % (1 << 31);
        let t = i as f64 / f64::from(rate);
        let loud = if i < count * 3 / 4 { 1.0 } else { 0.0 };
        let noise = 0.02 * (state as f64 / f64::from(1 << 30) - 1.0);
        (loud * (0.5 * (2.0 * PI * (300.0 + 2000.0 * t) * t).sin() + noise)) as f32
    };
    (0..count).map(&mut sample).collect()
}

/// A small set in the layout of ESC-50: low and high tones, four of each in each of five folds.
pub fn esc50() -> tempfile::TempDir {
    let mut list = "filename,fold,target,category,esc10,src_file,take\n".to_owned();
    let mut files = vec![];
    for fold in 1..=5 {
        for take in 0..8 {
            let (target, name) = [(3, "low"), (7, "high")][take % 2];
            let file = format!("{fold}-{take}-A-{target}.wav");
            list.push_str(&format!("{file},{fold},{target},{name},True,{take},A\n"));
            let base = if target == 3 { 300.0 } else { 1500.0 };
            files.push((format!("audio/{file}"), beep(base + 20.0 * take as f64 + fold as f64)));
        }
    }
    files.push(("meta/esc50.csv".to_owned(), list.into_bytes()));
    super::files::directory(&files)
}
