//! Lines of text without `core::fmt`, which costs more flash than all of the application.

/// A text of at most `N` bytes; what does not fit is left out.
#[derive(Clone, Copy, Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Text<N> {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Adds a byte, of ASCII.
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            self.byte(byte);
        }
        self
    }

    /// Adds decimal digits.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.digits(number, 1)
    }

    /// Adds a number of hundredths as a decimal fraction: 2147 is `21.47`.
    pub fn hundredths(&mut self, number: i32) -> &mut Self {
        if number < 0 {
            self.byte(b'-');
        }
        let number = u64::from(number.unsigned_abs());
        self.number(number / 100).byte(b'.').digits(number % 100, 2)
    }

    /// Adds `name=number`, after a space.
    pub fn field(&mut self, name: &str, number: impl Into<u64>) -> &mut Self {
        self.byte(b' ').text(name).byte(b'=').number(number.into())
    }

    /// Adds spaces until it has this many bytes.
    pub fn pad(&mut self, len: usize) -> &mut Self {
        while self.len < len.min(N) {
            self.byte(b' ');
        }
        self
    }

    fn digits(&mut self, mut number: u64, least: usize) -> &mut Self {
        let mut digits = [0; 20];
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            if number == 0 && count >= least {
                break;
            }
            // A board divides 32 bits in one instruction, 64 in hundreds.
            let (rest, digit) = match u32::try_from(number) {
                Ok(number) => (u64::from(number / 10), (number % 10) as u8),
                Err(_) => (number / 10, (number % 10) as u8),
            };
            *place = b'0' + digit;
            number = rest;
            count += 1;
        }
        for &digit in digits.iter().skip(20 - count) {
            self.byte(digit);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let mut text = Text::<80>::new();
        text.number(0).byte(b' ').number(u64::MAX).byte(b' ').hundredths(-5).byte(b' ').hundredths(2147);
        assert_eq!(text.as_str(), "0 18446744073709551615 -0.05 21.47");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut text = Text::<4>::new();
        text.text("abc").number(12).pad(9);
        assert_eq!(text.as_str(), "abc1");
    }
}
