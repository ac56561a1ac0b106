//! One macro for `defmt` and `log`: messages for whichever is on, and nothing at all, arguments included, if none is.

macro_rules! debug {
    ($message:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::debug!($message $(, $argument)*);
        #[cfg(feature = "log")]
        log::debug!($message $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        let _ = ($(&$argument,)*);
    }};
}

macro_rules! warning {
    ($message:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::warn!($message $(, $argument)*);
        #[cfg(feature = "log")]
        log::warn!($message $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        let _ = ($(&$argument,)*);
    }};
}
