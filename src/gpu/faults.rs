//! What a device refuses, and when it says so.
//!
//! Natively a device refuses what it is asked to make at once: [`Gpu::caught`] returns its reason, and the caller adds the name of
//! what was to be made. Anything else, and everything in a browser, arrives later: it is kept, and [`Gpu::check`] returns it.

use super::Gpu;
use super::blocking::block_on;
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex};

/// Faults that arrive outside any scope: kept, and returned by the next operation that can fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Option<String>>>);

impl Faults {
    /// Keeps what `device` reports from now on.
    pub(super) fn of(device: &wgpu::Device) -> Self {
        let faults = Self::default();
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| uncaptured.keep(error.to_string())));
        let lost = faults.clone();
        device.set_device_lost_callback(move |_, message| {
            lost.keep_cause(format!("the device was lost ({message}); what it held and nobody read is gone"));
        });
        faults
    }

    fn keep(&self, text: String) {
        self.0.lock().expect("faults are only read and written").get_or_insert(text);
    }

    /// Replaces what is kept: errors that follow from this one may have arrived before it.
    fn keep_cause(&self, text: String) {
        *self.0.lock().expect("faults are only read and written") = Some(text);
    }

    fn check(&self) -> Result<()> {
        match &*self.0.lock().expect("faults are only read and written") {
            None => Ok(()),
            Some(text) => Err(Error::Device(text.clone())),
        }
    }
}

impl Gpu {
    /// What `work` makes on the device, or why the device refuses it. In a browser, which would have to wait for the reason, it
    /// always returns what `work` makes; the reason is kept for [`Gpu::check`] when it arrives.
    pub(super) fn caught<T>(&self, work: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
        if cfg!(target_family = "wasm") {
            return Ok(work());
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = work();
        // Scopes end in reverse order.
        let [invalid, too_large] = [block_on(validation.pop()), block_on(memory.pop())];
        invalid.or(too_large).map_or(Ok(made), Err)
    }

    /// Returns the fault that is kept, if there is one.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or refused earlier work.
    pub(super) fn check(&self) -> Result<()> {
        if self.faults.check().is_err() {
            // A lost device says so when it is asked, after the errors that follow from it. Another error here would be one of those.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.faults.check()
    }
}
