//! Augmentation of training images: mosaic, scale, translation, mixture, colours and flip, in this
//! order, as in YOLOv5. Each is a pure function of (seed, epoch, image).

use super::geometry::{Corners, Placement, clipped, paint};
use super::scene::{Scene, SceneBox, boxes_at};
use super::set::BoxedPictures;
use super::{BoxAugmentation, hsv};
use crate::data::Draw;
use crate::error::Result;
use image::RgbImage;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};

/// Both parameters of the distribution of the weights in a mixture.
const MIXTURE: f64 = 32.0;

// Boxes are kept if they have more than these values after a change of geometry.
/// Width and height in pixels.
const LEAST_SIDE: f64 = 2.0;
/// The part of the area that is still visible.
const LEAST_AREA: f64 = 0.1;
/// The largest ratio of the sides.
const MOST_ASPECT: f64 = 100.0;

/// An image on the canvas.
struct Tile {
    index: usize,
    image: RgbImage,
    at: Placement,
}

impl BoxAugmentation {
    /// Whether boxes move in other ways than by a flip.
    fn moves(&self) -> bool {
        self.mosaic > 0.0 || self.scale > 0.0 || self.translate > 0.0
    }

    /// How many images an example may be made of.
    pub(super) fn images_per_example(&self) -> usize {
        let mosaic = if self.mosaic > 0.0 { 4 } else { 1 };
        if self.mixup > 0.0 { 2 * mosaic } else { mosaic }
    }
}

fn happens(probability: f64, rng: &mut impl Rng) -> bool {
    probability > 0.0 && rng.random_range(0.0..1.0) < probability
}

/// A number up to `most` away from 0.
fn spread(most: f64, rng: &mut impl Rng) -> f64 {
    if most > 0.0 { rng.random_range(-most..=most) } else { 0.0 }
}

impl BoxedPictures {
    /// The changed image `index`, with a mosaic or mixture of others.
    pub(super) fn varied(&self, index: usize, draw: Draw) -> Result<Scene> {
        let (changes, mut rng) = (self.augmentation, draw.generator(index));
        let is_mosaic = happens(changes.mosaic, &mut rng);
        let mut scene = self.composed(index, is_mosaic, &mut rng)?;
        if happens(changes.mixup, &mut rng) {
            let other = self.partner(&mut rng);
            let other = self.composed(other, is_mosaic, &mut rng)?;
            let beta = Beta::new(MIXTURE, MIXTURE).expect("the parameters are positive");
            scene.mix(&other, beta.sample(&mut rng) as f32);
        }
        if changes.hsv != [0.0; 3] {
            let gains = changes.hsv.map(|most| 1.0 + spread(most, &mut rng) as f32);
            hsv::apply(&mut scene.image, gains);
        }
        if self.flip && rng.random::<bool>() {
            scene.flip();
        }
        Ok(scene)
    }

    /// The image `index`, or a mosaic with three others, scaled and moved.
    fn composed(&self, index: usize, is_mosaic: bool, rng: &mut impl Rng) -> Result<Scene> {
        let side = self.side as f64;
        let (tiles, canvas) = match is_mosaic {
            true => (self.mosaic(index, rng)?, 2.0 * side),
            false => (vec![self.alone(index)?], side),
        };
        let (view, window) = (self.view(canvas, rng), [0.0, 0.0, canvas, canvas]);
        let mut scene = Scene::empty(self.side);
        for Tile { index, image, at } in tiles {
            paint(&image, at.then(view), view.apply(window), &mut scene.image);
            let mut boxes = boxes_at(&self.images[index].objects, image.dimensions().into(), at);
            if self.augmentation.moves() {
                boxes.retain_mut(|of_tile| moved(of_tile, window, view, scene.bounds()));
            }
            scene.boxes.extend(boxes);
        }
        Ok(scene)
    }

    fn alone(&self, index: usize) -> Result<Tile> {
        let image = self.image(index)?;
        let at = Placement::letterbox(image.dimensions().into(), self.side);
        Ok(Tile { index, image, at })
    }

    /// The image `index` and three others in any order around a random centre, on a canvas of twice
    /// the side.
    fn mosaic(&self, index: usize, rng: &mut impl Rng) -> Result<Vec<Tile>> {
        let side = self.side as f64;
        let [x, y] = [0, 1].map(|_| rng.random_range(0.5 * side..1.5 * side).floor());
        let mut indices = [index, self.partner(rng), self.partner(rng), self.partner(rng)];
        indices.shuffle(rng);
        let tile = |(corner, index): (usize, usize)| {
            let image = self.image(index)?;
            let scale = Placement::fitting(image.dimensions().into(), self.side);
            let [w, h] = [image.width(), image.height()].map(|extent| scale * f64::from(extent));
            let left = if corner % 2 == 0 { x - w } else { x };
            let top = if corner < 2 { y - h } else { y };
            Ok(Tile { index, image, at: Placement { scale, left, top } })
        };
        indices.into_iter().enumerate().map(tile).collect()
    }

    /// Scales by a random factor, and moves the middle of the canvas to a random place around the
    /// middle of the scene.
    fn view(&self, canvas: f64, rng: &mut impl Rng) -> Placement {
        let (BoxAugmentation { scale, translate, .. }, side) = (self.augmentation, self.side as f64);
        let scale = 1.0 + spread(scale, rng);
        let [left, top] = [0, 1].map(|_| (0.5 + spread(translate, rng)) * side - scale * canvas / 2.0);
        Placement { scale, left, top }
    }

    /// A random image that is used for training.
    fn partner(&self, rng: &mut impl Rng) -> usize {
        self.partners[rng.random_range(0..self.partners.len())] as usize
    }
}

/// Moves a box, clips it to `bounds`, and tells whether enough of it is left.
fn moved(of_tile: &mut SceneBox, window: Corners, view: Placement, bounds: Corners) -> bool {
    let size = |corners: Corners| [corners[2] - corners[0], corners[3] - corners[1]];
    let whole = view.apply(clipped(of_tile.corners, window));
    of_tile.corners = clipped(whole, bounds);
    let ([w, h], [whole_w, whole_h]) = (size(of_tile.corners), size(whole));
    w > LEAST_SIDE && h > LEAST_SIDE && w * h > LEAST_AREA * whole_w * whole_h && (w / h).max(h / w) < MOST_ASPECT
}
