//! The geometry of images with boxes: one map moves pixels and boxes together.

use image::{Rgb, RgbImage};

/// The colour outside of an image, as in YOLOv5.
pub(super) const GREY: Rgb<u8> = Rgb([114; 3]);

/// A rectangle in pixels: left, top, right, bottom. Pixel i extends from i to i + 1.
pub type Corners = [f64; 4];

/// Where an image is in another one: x is moved to `scale` x + `left`, and y to `scale` y + `top`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Pixels per pixel of the image.
    pub scale: f64,
    /// Distance of its left edge.
    pub left: f64,
    /// Distance of its top edge.
    pub top: f64,
}

impl Placement {
    /// The largest placement of an image of this width and height in the middle of a square. Edges
    /// are at whole pixels, so that an image of the side of the square keeps its bytes.
    pub fn letterbox(size: [u32; 2], side: usize) -> Self {
        let [w, h] = size.map(f64::from);
        let scale = Self::fitting(size, side);
        let margin = |extent: f64| ((side as f64 - scale * extent) / 2.0).floor();
        Self { scale, left: margin(w), top: margin(h) }
    }

    /// The scale at which the longer side of an image is `side` pixels.
    pub(super) fn fitting([width, height]: [u32; 2], side: usize) -> f64 {
        side as f64 / f64::from(width.max(height))
    }

    /// This placement, then that of `next`.
    pub fn then(self, next: Self) -> Self {
        let Self { scale, left, top } = self;
        Self { scale: scale * next.scale, left: next.scale * left + next.left, top: next.scale * top + next.top }
    }

    /// Where a rectangle of the image is.
    pub fn apply(self, corners: Corners) -> Corners {
        let offsets = [self.left, self.top, self.left, self.top];
        std::array::from_fn(|i| self.scale * corners[i] + offsets[i])
    }
}

/// The part of a rectangle that is inside of `window`; its width or height is 0 if there is none.
pub(super) fn clipped(corners: Corners, window: Corners) -> Corners {
    std::array::from_fn(|i| corners[i].clamp(window[i % 2], window[2 + i % 2]))
}

/// Draws an image into `into`, where `at` places it, as far as it is inside of `window`. A pixel is
/// the mean over its area where the image shrinks, and interpolated linearly where it grows.
pub(super) fn paint(image: &RgbImage, at: Placement, window: Corners, into: &mut RgbImage) {
    let (width, height) = into.dimensions();
    let columns = Samples::new(image.width(), at.scale, at.left, [window[0], window[2]], width);
    let rows = Samples::new(image.height(), at.scale, at.top, [window[1], window[3]], height);
    let Some((first, last)) = rows.range().filter(|_| !columns.pixels.is_empty()) else { return };
    let line = 3 * columns.pixels.len();
    let mut narrow = vec![0.0f32; (last - first) * line];
    for (row, place) in (first..last).zip(narrow.chunks_exact_mut(line)) {
        let source = &image.as_raw()[row * 3 * image.width() as usize..];
        for (pixel, place) in columns.pixels.iter().zip(place.chunks_exact_mut(3)) {
            for (&weight, from) in columns.weights(pixel).iter().zip(source[3 * pixel.start..].chunks_exact(3)) {
                (0..3).for_each(|c| place[c] += weight * f32::from(from[c]));
            }
        }
    }
    let mut sums = vec![0.0f32; line];
    let stride = 3 * width as usize;
    for (y, pixel) in (rows.first..).zip(&rows.pixels) {
        sums.fill(0.0);
        for (&weight, from) in rows.weights(pixel).iter().zip(narrow[(pixel.start - first) * line..].chunks_exact(line))
        {
            sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
        let place = &mut into.as_flat_samples_mut().samples[y * stride + 3 * columns.first..][..line];
        place.iter_mut().zip(&sums).for_each(|(byte, sum)| *byte = (sum + 0.5) as u8);
    }
}

/// How the pixels of an axis are computed: each is a weighted sum of neighbours in the image.
struct Samples {
    /// The first pixel that the image covers.
    first: usize,
    pixels: Vec<Sample>,
    weights: Vec<f32>,
}

/// The neighbours of a pixel: from `start` on, with `count` weights from `offset` on.
struct Sample {
    start: usize,
    offset: usize,
    count: usize,
}

impl Samples {
    /// The pixels of an axis of `length` pixels whose centres are in `window` and in the image of
    /// `size` pixels.
    fn new(size: u32, scale: f64, shift: f64, window: [f64; 2], length: u32) -> Self {
        let size_here = f64::from(size);
        let [low, high] = [window[0].max(shift), window[1].min(shift + scale * size_here)];
        // The first centre i + 0.5 that is not below an edge.
        let pixel_after = |edge: f64| (edge - 0.5).ceil().clamp(0.0, f64::from(length)) as usize;
        let (first, end) = (pixel_after(low), pixel_after(high));
        let mut samples = Self { first, pixels: vec![], weights: vec![] };
        for i in first..end {
            let [from, to] = [i, i + 1].map(|edge| ((edge as f64 - shift) / scale).clamp(0.0, size_here));
            match scale < 1.0 {
                true => samples.push_mean(from, to, size as usize),
                false => samples.push_between((i as f64 + 0.5 - shift) / scale - 0.5, size as usize),
            }
        }
        samples
    }

    /// The mean from `from` to `to`.
    fn push_mean(&mut self, from: f64, to: f64, size: usize) {
        let start = (from as usize).min(size - 1);
        let end = (to.ceil() as usize).clamp(start + 1, size);
        let overlap = |j: usize| (to.min(j as f64 + 1.0) - from.max(j as f64)).max(0.0);
        let total: f64 = (start..end).map(overlap).sum();
        let weight = |j: usize| if total > 0.0 { overlap(j) / total } else { 1.0 / (end - start) as f64 };
        self.push(start, (start..end).map(|j| weight(j) as f32));
    }

    /// The value at `place`, between two pixels.
    fn push_between(&mut self, place: f64, size: usize) {
        let place = place.clamp(0.0, (size - 1) as f64);
        let start = place as usize;
        let part = (place - start as f64) as f32;
        self.push(start, [1.0 - part, part].into_iter().take(size - start));
    }

    fn push(&mut self, start: usize, weights: impl Iterator<Item = f32>) {
        let offset = self.weights.len();
        self.weights.extend(weights);
        self.pixels.push(Sample { start, offset, count: self.weights.len() - offset });
    }

    fn weights(&self, sample: &Sample) -> &[f32] {
        &self.weights[sample.offset..][..sample.count]
    }

    /// The neighbours of all pixels: the first, and the end.
    fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = (self.pixels.first()?, self.pixels.last()?);
        Some((first.start, last.start + last.count))
    }
}
