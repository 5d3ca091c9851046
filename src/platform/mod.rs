//! Mechanisms: databases, processes, limits, settings, events, jobs, mail, shutdown. Knows nothing of HTTP, pages or news.

pub mod activity; // who requested what
pub mod audit; // who changed what in the console
pub mod cache; // values computed once, kept in memory and in Redis, dropped everywhere at once
pub mod db; // PostgreSQL: connections with deadlines, migrations, the embedded server
pub mod events; // streams of what happened, with expected versions
pub mod fetch; // guarded requests to the outside
pub mod flags; // what is on, for whom
pub mod health; // is each part well?
pub mod jobs; // work that must not be lost, as rows in PostgreSQL
pub mod kv; // Redis: bounded calls, the embedded server
pub mod limits; // how often is too often
pub mod notify; // mail
pub mod observe; // logs, metrics, the machine
pub mod probe; // does a dependency answer?
pub mod process; // supervised child processes, whose user they run as, where their files lie
pub mod resilience; // breaker, retry, timeout, bulkhead, coalescing, and calls through all of them
pub mod settings; // what the operator may change while it runs
pub mod shutdown; // the ordered end
pub mod tasks; // supervised background tasks
pub mod tls; // rustls with ring
