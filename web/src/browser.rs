//! What the page's worker calls.

use crate::{Ended, GIVEN, Report, Stop, cropped, options, train};
use js_sys::{Array, Function, Uint8Array};
use lerac::error::Error;
use lerac::gpu::{Gpu, GpuOptions};
use std::path::Path;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(text: &str);
}

#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

fn js_error(fault: &Error) -> JsError {
    JsError::new(&fault.to_string())
}

/// Adds a file that the visitor gives. `name` is its path in a folder, or its name.
#[wasm_bindgen(js_name = addFile)]
pub fn add_file(name: &str, bytes: Vec<u8>) {
    lerac::data::add_file(Path::new(GIVEN).join(name), bytes);
}

/// Adds an image that the visitor gives and the browser has decoded: four bytes per pixel, and the
/// side to crop it to.
///
/// # Errors
/// If the number of bytes does not match the size, or the side is out of range.
#[wasm_bindgen(js_name = addImage)]
pub fn add_image(name: &str, width: u32, height: u32, rgba: &[u8], side: usize) -> Result<(), JsError> {
    let file = cropped(width, height, rgba, side).map_err(|fault| js_error(&fault))?;
    add_file(name, file);
    Ok(())
}

/// An open device.
#[wasm_bindgen]
pub struct Engine {
    gpu: Gpu,
    stop: Stop,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the adapter that the browser prefers.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub async fn open() -> Result<Engine, JsError> {
        let gpu = Gpu::open_async(&GpuOptions::default()).await.map_err(|fault| js_error(&fault))?;
        Ok(Self { gpu, stop: Stop::default() })
    }

    /// Trains with the options in `json`. Calls `on_event` with each event, as JSON. Returns the
    /// outcome in words, the error if the run ended early, and the names and contents of its files.
    ///
    /// # Errors
    /// If the options are invalid.
    pub async fn train(&self, json: &str, on_event: Function) -> Result<Array, JsError> {
        let config = options(json).map_err(|fault| js_error(&fault))?;
        let report = Report(|event: String| {
            // An error of the page is the page's.
            let _ = on_event.call1(&JsValue::NULL, &event.into());
        });
        let Ended { outcome, files } = train(&self.gpu, &config, self.stop.clone(), report).await;
        let (text, fault) = match outcome {
            Ok(text) => (text.into(), JsValue::NULL),
            Err(fault) => (JsValue::NULL, fault.to_string().into()),
        };
        let file = |(name, bytes): (&str, Vec<u8>)| Array::of2(&name.into(), &Uint8Array::from(&bytes[..]).into());
        let files: Array = files.into_iter().map(file).collect();
        Ok(Array::of3(&text, &fault, &files.into()))
    }

    /// Ends the run after the current step.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Destroys the device, as if the driver had lost it. For tests.
    pub fn lose(&self) {
        self.gpu.lose();
    }
}
