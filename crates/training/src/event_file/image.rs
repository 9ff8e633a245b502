//! Tensors as PNG images.
use super::Value;
use crate::{Error, Result};
use png::{BitDepth, ColorType, Encoder};
use tallow_layers::ErrorKind;
use tallow_tensor::Tensor;

/// A tensor as an image: `[height, width]` or `[height, width, channels]` with 1, 3 or 4 channels; `[width]` is one row.
///
/// Floats go from 0 (dark) to 1, whole numbers from 0 to 255; what lies outside is cut off, NaN is 0.
///
/// # Errors
/// `ShapeMismatch` naming the tag for any other shape.
pub(super) fn of(tag: &str, t: &Tensor) -> Result<Value> {
    let wrong = || {
        let text = "is no image: it must be [height, width] or [height, width, channels] with 1, 3 or 4 channels";
        Error::shape(format!("{tag} of shape {:?} {text}", t.shape()))
    };
    let (height, width, channels) = match *t.shape() {
        [w] => (1, w, 1),
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => return Err(wrong()),
    };
    let color = match channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        4 => ColorType::Rgba,
        _ => return Err(wrong()),
    };
    let (Ok(height), Ok(width), true) = (u32::try_from(height), u32::try_from(width), t.size() > 0) else {
        return Err(wrong());
    };
    let full = if t.dtype().is_float() { 255.0 } else { 1.0 };
    // `as` takes NaN to 0.
    let pixels: Vec<u8> = t.to_f64_vec()?.iter().map(|v| (v * full).round().clamp(0.0, 255.0) as u8).collect();
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut w| {
        w.write_image_data(&pixels)?;
        w.finish()
    });
    written.map_err(|e| Error::new(ErrorKind::Io, format!("{tag} cannot be written as a PNG: {e}")))?;
    Ok(Value::Image { height, width, channels: channels as u32, png })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(png: &[u8]) -> (u32, u32, ColorType, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
        let mut out = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut out).expect("an image");
        out.truncate(info.buffer_size());
        (info.width, info.height, info.color_type, out)
    }

    fn image(t: &Tensor) -> (u32, u32, ColorType, Vec<u8>) {
        match of("x", t).expect("an image") {
            Value::Image { png, .. } => pixels(&png),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn floats_and_whole_numbers_become_pixels() {
        let grey = Tensor::from_vec(vec![0f32, 0.5, 1.0, 2.0, -1.0, f32::NAN], &[2, 3]).expect("a tensor");
        assert_eq!(image(&grey), (3, 2, ColorType::Grayscale, vec![0, 128, 255, 255, 0, 0]));
        let color = Tensor::from_vec(vec![0i32, 7, 255, 300, -5, 1], &[1, 2, 3]).expect("a tensor");
        assert_eq!(image(&color), (2, 1, ColorType::Rgb, vec![0, 7, 255, 255, 0, 1]));
        let row = Tensor::from_vec(vec![1u8, 2], &[2]).expect("a tensor");
        assert_eq!(image(&row), (2, 1, ColorType::Grayscale, vec![1, 2]));
    }

    #[test]
    fn other_shapes_are_refused_by_name() {
        let t = Tensor::from_vec(vec![0f32; 8], &[2, 2, 2]).expect("a tensor");
        let error = of("summary_map0", &t).expect_err("two channels");
        assert_eq!(error.code(), "ShapeMismatch");
        assert!(error.message().starts_with("summary_map0 of shape [2, 2, 2] is no image"), "{}", error.message());
        assert!(of("x", &t.narrow(0, 0, 0).expect("no rows")).is_err());
    }
}
