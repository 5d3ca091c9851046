//! What is counted, and under which name programs know it. Must not know how.

/// What is counted; each class has its own rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Anything at all, by address, in each process alone.
    Read,
    /// Any change, by address and by account.
    Write,
    /// Calls of the API, by address and by account.
    Api,
    /// Searches, by address.
    Search,
    /// Attempts to log in, by address.
    LoginAddress,
    /// Failed attempts to log in, by account and address together, so that strangers lock nobody out.
    LoginAccount,
    /// Failed attempts to log in to one account from wherever: more of them are slowed down, and none is refused.
    LoginEverywhere,
    /// New accounts, by address.
    Signup,
    /// Letters that somebody asks for, by whoever asks and by whom they are about.
    Letter,
}

impl Class {
    /// The word for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Api => "api",
            Self::Search => "search",
            Self::LoginAddress => "login",
            Self::LoginAccount => "login-account",
            Self::LoginEverywhere => "login-everywhere",
            Self::Signup => "signup",
            Self::Letter => "letter",
        }
    }
}
