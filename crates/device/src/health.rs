//! Errors that arrive beside the calls: device loss, uncaptured errors, error scopes.
//!
//! Must never panic. A loss is final; any other uncaptured error stays until it is
//! cleared, since what was computed after it cannot be trusted.

#[cfg(not(target_arch = "wasm32"))]
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(not(target_arch = "wasm32"))]
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

/// What an error scope was opened for.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Creating a buffer of so many bytes.
    Buffer(u64),
    /// Creating the pipeline of the kernel with this label.
    Pipeline(String),
}

impl Scope {
    fn error(self, error: wgpu::Error) -> Error {
        match (self, error) {
            (Self::Buffer(bytes), wgpu::Error::OutOfMemory { .. }) => Error::OutOfMemory { bytes },
            (Self::Pipeline(label), error) => Error::Pipeline {
                label,
                message: error.to_string(),
            },
            (Self::Buffer(_), error) => uncaptured(&error),
        }
    }
}

fn uncaptured(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { bytes: 0 },
        error => Error::Backend {
            message: error.to_string(),
        },
    }
}

#[cfg(target_arch = "wasm32")]
type ScopeFuture = std::pin::Pin<Box<dyn Future<Output = Option<wgpu::Error>> + Send>>;

/// Sticky state of one device.
#[derive(Default)]
pub(crate) struct Health {
    /// Set with either of the fields below, so that the healthy path is one load.
    failed: AtomicBool,
    lost: Mutex<Option<String>>,
    error: Mutex<Option<Error>>,
    /// Scopes that the browser has not answered yet.
    #[cfg(target_arch = "wasm32")]
    pending: Mutex<Vec<(Scope, ScopeFuture)>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// Listens to `device`.
    pub(crate) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let health = Arc::new(Self::default());
        let listener = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            listener.lose(format!("{reason:?}: {message}"));
        });
        let listener = health.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            listener.fail(uncaptured(&error));
        }));
        health
    }

    /// Records a loss; the first reason stays.
    pub(crate) fn lose(&self, reason: String) {
        tracing::error!(%reason, "device lost");
        lock(&self.lost).get_or_insert(reason);
        self.failed.store(true, Ordering::Release);
    }

    /// Records an error; the first stays.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(%error, "uncaptured device error");
        lock(&self.error).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Forgets an error that is not a loss, and returns it.
    pub(crate) fn clear(&self) -> Option<Error> {
        let lost = lock(&self.lost);
        let error = lock(&self.error).take();
        self.failed.store(lost.is_some(), Ordering::Release);
        error
    }

    /// An error if the device is lost.
    pub(crate) fn alive(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*lock(&self.lost) {
            Some(reason) => Err(Error::DeviceLost {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    /// An error if the device is lost or an earlier error is not cleared.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.alive()?;
        match &*lock(&self.error) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs `create` under error scopes. Native backends answer at once; a browser
    /// answers later, and [`Health::settle`] collects the answer.
    pub(crate) fn scoped<T>(
        &self,
        device: &wgpu::Device,
        scope: Scope,
        create: impl FnOnce() -> T,
    ) -> Result<T> {
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = create();
        let answers = [validation.pop(), internal.pop(), memory.pop()];
        #[cfg(target_arch = "wasm32")]
        for answer in answers {
            lock(&self.pending).push((scope.clone(), Box::pin(answer)));
        }
        #[cfg(not(target_arch = "wasm32"))]
        for answer in answers {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(Some(error)) = pin!(answer).poll(&mut context) {
                return Err(scope.error(error));
            }
        }
        self.alive().map(|()| value)
    }

    /// Awaits the scopes that are still open in a browser.
    #[cfg(target_arch = "wasm32")]
    pub(crate) async fn settle(&self) {
        let pending = std::mem::take(&mut *lock(&self.pending));
        for (scope, answer) in pending {
            if let Some(error) = answer.await {
                self.fail(scope.error(error));
            }
        }
    }
}
