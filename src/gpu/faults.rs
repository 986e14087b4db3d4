//! Errors that a device reports.
//!
//! Natively, a device reports at once that it cannot create a resource: [`Gpu::caught`] returns the
//! error, and the caller adds the resource's name. All other errors, and in a browser all errors,
//! arrive later: they are stored, and [`Gpu::check`] returns them.

use super::Gpu;
use super::blocking::block_on;
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex};

/// The stored error, if any. The next operation that can fail returns it.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Option<String>>>);

impl Faults {
    /// Stores the errors that `device` reports from now on.
    pub(super) fn of(device: &wgpu::Device) -> Self {
        let faults = Self::default();
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| uncaptured.keep(error.to_string())));
        let lost = faults.clone();
        device.set_device_lost_callback(move |_, message| {
            lost.keep_cause(format!("the device was lost ({message}); the data on it are lost too"));
        });
        faults
    }

    fn keep(&self, text: String) {
        self.0.lock().expect("faults are only read and written").get_or_insert(text);
    }

    /// Replaces the stored error. An error may arrive after the errors that it causes.
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
    /// Creates a resource by `create`, and returns the device's error if it fails. In a browser,
    /// errors arrive later, so it always returns the resource, and [`Gpu::check`] the error.
    pub(super) fn caught<T>(&self, create: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
        if cfg!(target_family = "wasm") {
            return Ok(create());
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        // Errors of a driver's compiler.
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let created = create();
        // Error scopes are popped in reverse order.
        let errors = [internal, validation, memory].map(|scope| block_on(scope.pop()));
        errors.into_iter().flatten().next().map_or(Ok(created), Err)
    }

    /// Returns the stored error, if any.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is lost or rejected earlier work.
    pub(super) fn check(&self) -> Result<()> {
        if self.faults.check().is_err() {
            // A lost device reports the loss only when polled, after the errors that it causes.
            // The poll's own error would be one of those, and is ignored.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.faults.check()
    }
}
