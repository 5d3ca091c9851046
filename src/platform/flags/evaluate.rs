//! Whether a flag is on for somebody. Pure; must not know the database.

use sha2::{Digest, Sha256};

use super::Flag;

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine.
    Development,
    /// As production, for trying out.
    Staging,
    /// The real one.
    Production,
}

impl Environment {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Development, Self::Staging, Self::Production];

    /// The word in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// A group of people that the site tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Who has joined lately.
    New,
    /// Who has been about for a while, and is well liked.
    Trusted,
    /// Moderators and above.
    Staff,
}

impl Segment {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::New, Self::Trusted, Self::Staff];

    /// The word in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Trusted => "trusted",
            Self::Staff => "staff",
        }
    }
}

/// Somebody for whom a flag is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The account.
    pub user_id: i64,
    /// The groups it belongs to.
    pub segments: Vec<Segment>,
}

/// What came of it, with the first condition that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is on.
    On,
    /// It is switched off.
    Off,
    /// It is not for this environment.
    Environment,
    /// It is for some people, and nobody is signed in.
    Guest,
    /// It is for other groups.
    Segment,
    /// It is for other accounts.
    User,
    /// The account is not among the share of accounts that it is for.
    Percentage,
}

impl Verdict {
    /// The verdict in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::On => "It is on.",
            Self::Off => "It is off: the flag is switched off.",
            Self::Environment => "It is off: the flag is not for this environment.",
            Self::Guest => {
                "It is off: the flag is for some people, and guests are nobody in particular."
            }
            Self::Segment => "It is off: the account is in none of the flag's groups.",
            Self::User => "It is off: the account is not on the flag's list.",
            Self::Percentage => "It is off: the account is not in the flag's share.",
        }
    }
}

/// Whether `flag` is on: all conditions that are given must hold, and one about people fails where there is nobody.
pub fn evaluate(flag: &Flag, environment: Environment, subject: Option<&Subject>) -> Verdict {
    if !flag.is_on {
        return Verdict::Off;
    }
    if !flag.environments.is_empty()
        && !flag
            .environments
            .iter()
            .any(|name| name == environment.name())
    {
        return Verdict::Environment;
    }
    if flag.segments.is_empty() && flag.user_ids.is_empty() && flag.percentage.is_none() {
        return Verdict::On;
    }
    let Some(subject) = subject else {
        return Verdict::Guest;
    };
    let in_segment = |name: &String| {
        subject
            .segments
            .iter()
            .any(|segment| segment.name() == name)
    };
    if !flag.segments.is_empty() && !flag.segments.iter().any(in_segment) {
        return Verdict::Segment;
    }
    if !flag.user_ids.is_empty() && !flag.user_ids.contains(&subject.user_id) {
        return Verdict::User;
    }
    match flag.percentage {
        Some(percentage)
            if share(&flag.name, subject.user_id)
                >= u64::from(percentage.max(0).unsigned_abs()) * 100 =>
        {
            Verdict::Percentage
        }
        _ => Verdict::On,
    }
}

/// Where an account stands for a flag, in [0, 10000): the same always, and unlike its place for other flags.
fn share(name: &str, user_id: i64) -> u64 {
    let digest = Sha256::digest(format!("{name}:{user_id}").as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        % 10_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flag() -> Flag {
        Flag::new_on("polls")
    }

    fn subject(user_id: i64, segments: &[Segment]) -> Subject {
        Subject {
            user_id,
            segments: segments.to_vec(),
        }
    }

    #[test]
    fn every_condition_that_is_given_must_hold() {
        let mut flag = flag();
        assert_eq!(evaluate(&flag, Environment::Production, None), Verdict::On);
        flag.environments = vec!["staging".into()];
        assert_eq!(
            evaluate(&flag, Environment::Production, None),
            Verdict::Environment
        );
        flag.segments = vec!["staff".into(), "trusted".into()];
        assert_eq!(
            evaluate(&flag, Environment::Staging, None),
            Verdict::Guest,
            "a missing context is false"
        );
        let alice = subject(1, &[Segment::Trusted]);
        assert_eq!(
            evaluate(&flag, Environment::Staging, Some(&alice)),
            Verdict::On
        );
        assert_eq!(
            evaluate(
                &flag,
                Environment::Staging,
                Some(&subject(1, &[Segment::New]))
            ),
            Verdict::Segment
        );
        flag.user_ids = vec![2];
        assert_eq!(
            evaluate(&flag, Environment::Staging, Some(&alice)),
            Verdict::User
        );
        flag.user_ids = vec![1, 2];
        flag.percentage = Some(0);
        assert_eq!(
            evaluate(&flag, Environment::Staging, Some(&alice)),
            Verdict::Percentage
        );
        flag.percentage = Some(100);
        assert_eq!(
            evaluate(&flag, Environment::Staging, Some(&alice)),
            Verdict::On
        );
        flag.is_on = false;
        assert_eq!(
            evaluate(&flag, Environment::Staging, Some(&alice)),
            Verdict::Off
        );
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        let flag = Flag {
            percentage: Some(25),
            ..flag()
        };
        let on = (0..10_000)
            .filter(|id| {
                evaluate(&flag, Environment::Production, Some(&subject(*id, &[]))) == Verdict::On
            })
            .count();
        assert!((2_300..2_700).contains(&on), "{on} of 10000");
    }

    proptest! {
        /// Who is in stays in while the share grows.
        #[test]
        fn a_growing_share_drops_nobody(user_id in any::<i64>(), low in 0_i16..=100, more in 0_i16..=100) {
            let at = |percentage: i16| {
                let flag = Flag { percentage: Some(percentage.min(100)), ..flag() };
                evaluate(&flag, Environment::Production, Some(&subject(user_id, &[])))
            };
            if at(low) == Verdict::On {
                prop_assert_eq!(at(low.saturating_add(more)), Verdict::On);
            }
        }
    }
}
