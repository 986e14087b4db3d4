//! Random gains of hue, saturation and value.

use image::RgbImage;

/// Multiplies hue, saturation and value of each pixel. Hues go round, the others end at their
/// largest value.
pub(super) fn apply(image: &mut RgbImage, gains: [f32; 3]) {
    for pixel in image.pixels_mut() {
        let [hue, saturation, value] = hsv(pixel.0);
        let hue = (hue * gains[0]).rem_euclid(6.0);
        pixel.0 = rgb([hue, (saturation * gains[1]).min(1.0), (value * gains[2]).min(255.0)]);
    }
}

/// Hue from 0 to 6, saturation from 0 to 1 and value from 0 to 255.
fn hsv(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(f32::from);
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let span = most - least;
    if span == 0.0 {
        return [0.0, 0.0, most];
    }
    let hue = match most {
        _ if most == r => ((g - b) / span).rem_euclid(6.0),
        _ if most == g => (b - r) / span + 2.0,
        _ => (r - g) / span + 4.0,
    };
    [hue, span / most, most]
}

fn rgb([hue, saturation, value]: [f32; 3]) -> [u8; 3] {
    // Each channel falls from `value` by its distance from the hue.
    [5.0, 3.0, 1.0].map(|shift| {
        let place = (shift + hue) % 6.0;
        let fall = place.min(4.0 - place).clamp(0.0, 1.0);
        (value - value * saturation * fall + 0.5) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::{apply, hsv, rgb};
    use image::{Rgb, RgbImage};

    #[test]
    fn colours_come_back() {
        for colour in (0..=255u8).flat_map(|a| [[a, 255 - a, 40], [7, a, a / 2], [a, a, a], [a / 3, 9, a]]) {
            assert_eq!(rgb(hsv(colour)), colour);
        }
        assert_eq!(hsv([0, 0, 0]), [0.0; 3]);
        assert_eq!(hsv([0, 200, 0]), [2.0, 1.0, 200.0]);
    }

    #[test]
    fn gains_change_what_they_name() {
        let changed = |colour, gains| {
            let mut image = RgbImage::from_pixel(1, 1, Rgb(colour));
            apply(&mut image, gains);
            image.get_pixel(0, 0).0
        };
        assert_eq!(changed([200, 100, 100], [1.0, 1.0, 0.5]), [100, 50, 50]);
        assert_eq!(changed([200, 100, 100], [1.0, 0.0, 1.0]), [200; 3]);
        assert_eq!(changed([200, 100, 100], [1.0, 9.0, 1.0]), [200, 0, 0]);
        // Green is at hue 2: half of it is yellow.
        assert_eq!(changed([0, 200, 0], [0.5, 1.0, 1.0]), [200, 200, 0]);
        assert_eq!(changed([0, 200, 0], [3.0, 1.0, 1.0]), [200, 0, 0]);
    }
}
