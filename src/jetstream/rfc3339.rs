//! Times as the server's JSON gives them, in UTC with up to nine digits after the second.

/// Nanoseconds since 1970, as they stand in a consumer's reply subjects.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|n| n.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || fraction.len() > 9 {
        return None;
    }
    let fraction = format!("{fraction:0<9}").parse::<i64>().ok()?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn known_times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-02T00:00:00.5Z", 86_400_500_000_000),
            ("2000-02-29T12:34:56.000000001Z", 951_827_696_000_000_001),
            ("2024-03-01T00:00:00Z", 1_709_251_200_000_000_000),
            ("2026-07-04T01:02:03.123456789Z", 1_783_126_923_123_456_789),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
        for text in ["", "2024-03-01", "2024-13-01T00:00:00Z", "2024-03-01T00:00:00+01:00", "x-y-zT0:0:0Z"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
