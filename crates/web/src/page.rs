//! What the tab offers: its clock, its timers, its console. It must hold no logic.

use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// Shows a message on the console as an error.
    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn error(message: &str);

    /// Milliseconds since the page was opened.
    #[wasm_bindgen(js_namespace = performance)]
    pub(crate) fn now() -> f64;

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(then: &js_sys::Function, milliseconds: u32);
}

/// Lets the tab do other things for so long.
pub(crate) async fn sleep(milliseconds: u32) {
    let promise = Promise::new(&mut |resolve, _| set_timeout(&resolve, milliseconds));
    // The promise is only ever resolved.
    let _ = JsFuture::from(promise).await;
}
