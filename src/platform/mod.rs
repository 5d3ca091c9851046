//! Mechanisms: databases, processes, shutdown. Knows nothing of HTTP, pages or news.

pub mod db; // PostgreSQL: connections with deadlines, migrations, the embedded server
pub mod kv; // Redis: bounded calls, the embedded server
pub mod probe; // does a dependency answer?
pub mod process; // supervised child processes, whose user they run as, where their files lie
pub mod shutdown; // the ordered end
