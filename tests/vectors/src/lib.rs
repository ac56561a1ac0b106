//! Bytes that independent implementations wrote (`data`), for tests wherever they run: in WebAssembly, which has no files, the
//! host gives them.

/// The content of a file in `data`, by its name there.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn read(name: &str) -> String {
    source::read(name).unwrap_or_else(|error| panic!("tests/vectors/data/{name}: {error}"))
}

#[cfg(not(target_family = "wasm"))]
mod source {
    use std::path::Path;

    pub(crate) fn read(name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name))
    }
}

/// What `wasm/tests.mjs` gives.
#[cfg(target_family = "wasm")]
mod source {
    use std::sync::Once;

    #[link(wasm_import_module = "vectors")]
    unsafe extern "C" {
        /// Bytes of the file of this name; −1 if there is none.
        fn length(name: *const u8, name_len: usize) -> i32;
        /// Copies the file that was asked for last.
        fn content(into: *mut u8);
        /// Takes the words of a panic.
        fn panicked(text: *const u8, text_len: usize);
    }

    pub(crate) fn read(name: &str) -> Result<String, &'static str> {
        static HOOK: Once = Once::new();
        // There is no other way out for them, as there is no standard error.
        HOOK.call_once(|| std::panic::set_hook(Box::new(|info| say(&info.to_string()))));
        // SAFETY: the host reads so many bytes.
        let length = unsafe { length(name.as_ptr(), name.len()) };
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| "the host has no such file")?];
        // SAFETY: the host writes as many bytes as it has just said.
        unsafe { content(bytes.as_mut_ptr()) };
        String::from_utf8(bytes).map_err(|_| "this is no UTF-8")
    }

    fn say(text: &str) {
        // SAFETY: the host reads so many bytes.
        unsafe { panicked(text.as_ptr(), text.len()) };
    }
}
