//! Tests of the whole site: the real application on a port of its own, a database of its own for each test, and Redis
//! with a prefix of its own. Must not know the application's insides beyond how it is built.

mod support;

mod architecture;
mod comments;
mod demo;
mod faults;
mod import;
mod lists;
mod pipeline;
mod posts;
mod rank;
mod votes;
