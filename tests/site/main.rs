//! Tests of the whole site: the real application on a port of its own, a database of its own for each test, and Redis
//! with a prefix of its own. Must not know the application's insides beyond how it is built.

mod support;

mod jobs;
mod mail;
mod pipeline;
