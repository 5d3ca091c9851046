//! How numbers, ages and links are written on pages: the filters that templates use
//! (`points|count`, `created_at|age(page.now)`). Pure: the time is an argument, never the clock.
//! It must not know what a post or a comment is.

use std::fmt::{self, Display, Formatter};

use askama::FastWritable;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Datelike, Timelike, Utc};

/// A number short enough for the vote gutter: `998`, `1.2k`, `57k`, `1.2m`.
/// Rounded down, so that `1.9k` is never more than there is.
#[askama::filter_fn]
pub(crate) fn count(number: &i64, _: &dyn askama::Values) -> askama::Result<Count> {
    Ok(Count(*number))
}

/// A number in full with its thousands apart: `12,403`.
#[askama::filter_fn]
pub(crate) fn thousands(number: &i64, _: &dyn askama::Values) -> askama::Result<Thousands> {
    Ok(Thousands(*number))
}

/// A moment as its age at `now`: `<time datetime=… title=…>3 hours ago</time>`.
#[askama::filter_fn]
pub(crate) fn age(
    moment: &DateTime<Utc>,
    _: &dyn askama::Values,
    now: &DateTime<Utc>,
) -> askama::Result<Age> {
    Ok(Age {
        moment: *moment,
        now: *now,
    })
}

/// A day alone: `<time datetime=…>20 Nov 2026</time>`.
#[askama::filter_fn]
pub(crate) fn day(moment: &DateTime<Utc>, _: &dyn askama::Values) -> askama::Result<Day> {
    Ok(Day(*moment))
}

/// Percent-encodes a text as one path segment or query value (everything outside the unreserved
/// set of RFC 3986, section 2.3).
#[askama::filter_fn]
pub(crate) fn component(text: &str, _: &dyn askama::Values) -> askama::Result<Component> {
    Ok(Component(text.to_owned()))
}

/// A number as the filter `count` writes it.
pub struct Count(pub i64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        let (unit, letter) = match size {
            0..=999 => return write!(f, "{}", self.0),
            1_000..=999_999 => (1_000, 'k'),
            _ => (1_000_000, 'm'),
        };
        let (whole, tenth) = (size / unit, size % unit / (unit / 10));
        if whole < 10 && tenth > 0 {
            write!(f, "{sign}{whole}.{tenth}{letter}")
        } else {
            write!(f, "{sign}{whole}{letter}")
        }
    }
}

/// A number as the filter `thousands` writes it.
pub struct Thousands(pub i64);

impl Display for Thousands {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let digits = self.0.unsigned_abs().to_string();
        for (place, digit) in digits.char_indices() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A moment as the filter `age` writes it.
pub struct Age {
    /// When it happened.
    pub moment: DateTime<Utc>,
    /// When it is read.
    pub now: DateTime<Utc>,
}

impl Age {
    /// The amount and its unit, or `None` for less than a minute (and for clocks that disagree).
    fn amount(&self) -> Option<(i64, &'static str)> {
        let minutes = (self.now - self.moment).num_minutes();
        Some(match minutes {
            ..1 => return None,
            1..60 => (minutes, "minute"),
            60..1_440 => (minutes / 60, "hour"),
            1_440..43_200 => (minutes / 1_440, "day"),
            // A month of 30 days, a year of 365: nobody counts on either.
            43_200..525_600 => (minutes / 43_200, "month"),
            _ => (minutes / 525_600, "year"),
        })
    }
}

impl Display for Age {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<time datetime=\"")?;
        write_machine(f, &self.moment)?;
        f.write_str("\" title=\"")?;
        write_moment(f, &self.moment)?;
        f.write_str("\">")?;
        match self.amount() {
            None => f.write_str("just now")?,
            Some((1, unit)) => write!(f, "1 {unit} ago")?,
            Some((amount, unit)) => write!(f, "{amount} {unit}s ago")?,
        }
        f.write_str("</time>")
    }
}

/// A day as the filter `day` writes it.
pub struct Day(pub DateTime<Utc>);

impl Display for Day {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let day = &self.0;
        write!(
            f,
            "<time datetime=\"{:04}-{:02}-{:02}\">{} {} {}</time>",
            day.year(),
            day.month(),
            day.day(),
            day.day(),
            month_name(day),
            day.year()
        )
    }
}

/// A text as the filter `component` writes it.
pub struct Component(pub String);

impl Display for Component {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// What these write holds no character that HTML gives a meaning to, but for their own tags.
macro_rules! written_as_html {
    ($($kind:ty),+) => {$(
        impl HtmlSafe for $kind {}

        impl FastWritable for $kind {
            fn write_into(
                &self,
                dest: &mut dyn fmt::Write,
                _: &dyn askama::Values,
            ) -> askama::Result<()> {
                Ok(write!(dest, "{self}")?)
            }
        }
    )+};
}

written_as_html!(Count, Thousands, Age, Day, Component);

/// RFC 3339 in UTC, to the second, without chrono's slower general formatter: a list writes
/// thirty of these, a thread hundreds.
fn write_machine(f: &mut Formatter<'_>, moment: &DateTime<Utc>) -> fmt::Result {
    write!(
        f,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        moment.year(),
        moment.month(),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

fn write_moment(f: &mut Formatter<'_>, moment: &DateTime<Utc>) -> fmt::Result {
    write!(
        f,
        "{} {} {}, {:02}:{:02} UTC",
        moment.day(),
        month_name(moment),
        moment.year(),
        moment.hour(),
        moment.minute()
    )
}

fn month_name(moment: &DateTime<Utc>) -> &'static str {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    NAMES[moment.month0() as usize]
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};

    use super::*;

    fn aged(age: Duration) -> String {
        let now = Utc
            .with_ymd_and_hms(2026, 11, 20, 22, 34, 5)
            .single()
            .unwrap_or_default();
        Age {
            moment: now - age,
            now,
        }
        .to_string()
    }

    #[test]
    fn an_age_is_told_in_its_largest_whole_unit() {
        let told = |age| aged(age).replace("</time>", "");
        for (age, words) in [
            (Duration::seconds(59), ">just now"),
            (Duration::seconds(-90), ">just now"),
            (Duration::minutes(1), ">1 minute ago"),
            (Duration::minutes(179), ">2 hours ago"),
            (Duration::days(29), ">29 days ago"),
            (Duration::days(30), ">1 month ago"),
            (Duration::days(800), ">2 years ago"),
        ] {
            assert!(told(age).ends_with(words), "{} is {words}", told(age));
        }
    }

    #[test]
    fn an_age_names_its_moment_for_machines_and_for_people() {
        assert_eq!(
            aged(Duration::hours(3)),
            "<time datetime=\"2026-11-20T19:34:05Z\" title=\"20 Nov 2026, 19:34 UTC\">3 hours ago</time>"
        );
    }

    #[test]
    fn counts_stay_short_and_never_round_up() {
        for (number, written) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_204, "1.2k"),
            (1_999, "1.9k"),
            (57_900, "57k"),
            (999_999, "999k"),
            (1_250_000, "1.2m"),
            (-1_204, "-1.2k"),
            (i64::MIN, "-9223372036854m"),
        ] {
            assert_eq!(Count(number).to_string(), written);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, written) in [
            (7, "7"),
            (999, "999"),
            (12_403, "12,403"),
            (-1_000, "-1,000"),
        ] {
            assert_eq!(Thousands(number).to_string(), written);
        }
    }

    #[test]
    fn a_component_cannot_leave_its_place() {
        assert_eq!(
            Component("a b/c?d=é&\"".to_owned()).to_string(),
            "a%20b%2Fc%3Fd%3D%C3%A9%26%22"
        );
    }
}
