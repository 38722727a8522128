//! Which PINs are taken: digits, and not the first to be tried.

use types::limits::{PIN_DIGITS_MAX, PIN_DIGITS_MIN};

use crate::errors::Error;

/// Repetitions of a piece of up to so many digits are no PIN.
const PERIOD_MAX: usize = 3;

/// Checks that something is a PIN at all; says nothing of what it is.
pub(crate) fn check(field: &str, pin: &str) -> Result<(), Error> {
    let digits = pin.len();
    if pin.bytes().all(|byte| byte.is_ascii_digit()) && (PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")))
}

/// Checks a new PIN.
pub(crate) fn check_new(field: &str, pin: &str) -> Result<(), Error> {
    check(field, pin)?;
    match why_weak(pin.as_bytes()) {
        Some(why) => Err(Error::invalid(field, why)),
        None => Ok(()),
    }
}

fn why_weak(digits: &[u8]) -> Option<&'static str> {
    if (1..=PERIOD_MAX).any(|period| digits.iter().zip(digits.iter().skip(period)).all(|(one, other)| one == other)) {
        return Some("it repeats the same few digits; take others");
    }
    let steps = || digits.windows(2).map(|two| (i16::from(two[1]) - i16::from(two[0])).rem_euclid(10));
    if steps().all(|step| step == 1) || steps().all(|step| step == 9) {
        return Some("it is a row of digits; take others");
    }
    if is_date(digits) {
        return Some("it could be a date, which is soon guessed; take others");
    }
    None
}

/// Day, month and year in the orders people write them.
fn is_date(digits: &[u8]) -> bool {
    let number = |at: usize, count: usize| {
        digits.iter().skip(at).take(count).fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let day = |at| (1..=31).contains(&number(at, 2));
    let month = |at| (1..=12).contains(&number(at, 2));
    let year = |at| (1900..=2099).contains(&number(at, 4));
    match digits.len() {
        6 => day(0) && month(2) || month(0) && day(2) || month(2) && day(4),
        8 => year(4) && (day(0) && month(2) || month(0) && day(2)) || year(0) && month(4) && day(6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_be_tried_are_refused_with_a_reason_that_does_not_name_them() {
        for weak in
            ["111111", "123456", "987654", "890123", "121212", "123123", "240681", "810624", "062481", "24061981"]
        {
            let error = check_new("pin", weak).expect_err(weak);
            assert!(!error.to_string().contains(weak));
        }
        for none in ["12345", "1234567890123", "12a456", "", "１２３４５６"] {
            assert!(check("pin", none).is_err(), "{none}");
        }
        for good in ["473920", "918273645", "905133"] {
            check_new("pin", good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
    }
}
