//! Brings the schema up to date: the embedded migrations, then the seeds. Must not know what they contain.
//!
//! Interchangeable, in either order, with `sqlx migrate run` and
//! `sqlx migrate run --source seeds --config seeds/sqlx.toml`: same files, same checksums, same tables, same
//! advisory lock. Two processes that start at once therefore migrate once.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::pool::Db;

/// Where the applied seeds are recorded; `seeds/sqlx.toml` says the same to sqlx-cli.
const SEEDS_TABLE: &str = "_sqlx_seeds";

/// A newer migration whose name begins so (`0042_expand_add_polls.sql`) leaves this binary able to run:
/// it only adds. See "expand, then contract" in `migrations/README.md`.
const EXPANDING: &str = "expand";

/// Why the schema could not be brought up to date; each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is ahead of this binary, by a step that it does not know to be compatible.
    #[error(
        "the database's {table} is at version {found}, but this binary knows only up to {known}: run a newer betternews"
    )]
    Newer {
        /// `_sqlx_migrations` or `_sqlx_seeds`.
        table: String,
        /// The newest unknown version in the database.
        found: i64,
        /// The newest version in this binary.
        known: i64,
    },
    /// The database has a step in the middle that this binary has not.
    #[error(
        "the database's {table} has version {version}, which this binary does not know: it comes from another line of development"
    )]
    Foreign {
        /// `_sqlx_migrations` or `_sqlx_seeds`.
        table: String,
        /// The unknown version.
        version: i64,
    },
    /// A landed migration was edited.
    #[error(
        "version {version} in {table} was applied from another text than this binary's: a landed migration is never edited"
    )]
    Changed {
        /// `_sqlx_migrations` or `_sqlx_seeds`.
        table: String,
        /// The version.
        version: i64,
    },
    /// A step outside a transaction stopped half-way.
    #[error(
        "version {version} in {table} was applied only in part: repair it by hand, then set its success to true or delete its row"
    )]
    Partial {
        /// `_sqlx_migrations` or `_sqlx_seeds`.
        table: String,
        /// The version.
        version: i64,
    },
    /// A step failed; nothing of it was kept.
    #[error("version {version} failed: {source}")]
    Failed {
        /// The version.
        version: i64,
        /// What the server said.
        source: sqlx::Error,
    },
    /// The database could not be reached or refused.
    #[error("the database did not take the migrations: {0}")]
    Database(#[from] sqlx::Error),
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Migrations applied now.
    pub migrations: usize,
    /// Seeds applied now.
    pub seeds: usize,
}

/// Applies what is missing, migrations first, then seeds, on a connection of its own without timeouts.
///
/// # Errors
/// See [`Error`]; all but the last two mean that nothing was changed.
pub async fn run(db: &Db) -> Result<Applied, Error> {
    let mut connection = db.dedicated().await?;
    let migrations = apply(sqlx::migrate!("./migrations"), &mut connection).await?;
    let mut seeds = sqlx::migrate!("./seeds");
    seeds.dangerous_set_table_name(SEEDS_TABLE);
    let seeds = apply(seeds, &mut connection).await?;
    connection.close().await?;
    Ok(Applied { migrations, seeds })
}

/// Applies one set and counts what was new. The lock is sqlx's own, so that sqlx-cli waits for it too; an
/// error leaves it to the closing connection.
async fn apply(mut set: Migrator, connection: &mut PgConnection) -> Result<usize, Error> {
    let table = set.table_name.to_string();
    connection.lock().await.map_err(|e| explain(e, &table))?;
    connection
        .ensure_migrations_table(&table)
        .await
        .map_err(|e| explain(e, &table))?;
    let found = list(connection, &table).await?;
    check(&set, &found, &table)?;
    let before = found.len();
    set.set_ignore_missing(true).set_locking(false);
    set.run_direct(None, connection, false)
        .await
        .map_err(|e| explain(e, &table))?;
    let after = list(connection, &table).await?.len();
    connection.unlock().await.map_err(|e| explain(e, &table))?;
    Ok(after - before)
}

async fn list(connection: &mut PgConnection, table: &str) -> Result<Vec<(i64, String)>, Error> {
    // `table` is one of two constants; a table's name cannot be bound.
    let sql = AssertSqlSafe(format!(
        "SELECT version, description FROM {table} ORDER BY version"
    ));
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}

/// Refuses a database that has steps this binary does not know, unless all of them are newer and only add.
fn check(set: &Migrator, found: &[(i64, String)], table: &str) -> Result<(), Error> {
    let known = set.iter().map(|m| m.version).max().unwrap_or(0);
    let unknown = found
        .iter()
        .filter(|(version, _)| !set.version_exists(*version));
    for (version, description) in unknown {
        let (table, version) = (table.to_owned(), *version);
        if version < known {
            return Err(Error::Foreign { table, version });
        }
        if !description.starts_with(EXPANDING) {
            return Err(Error::Newer {
                table,
                found: version,
                known,
            });
        }
        tracing::warn!(
            migration.version = version,
            migration.description = description,
            "the schema is newer than this binary, which can still use it"
        );
    }
    Ok(())
}

fn explain(error: MigrateError, table: &str) -> Error {
    let table = table.to_owned();
    match error {
        MigrateError::Execute(source) => Error::Database(source),
        MigrateError::ExecuteMigration(source, version) => Error::Failed { version, source },
        MigrateError::VersionMismatch(version) => Error::Changed { table, version },
        MigrateError::VersionMissing(version) => Error::Foreign { table, version },
        MigrateError::Dirty(version) => Error::Partial { table, version },
        other => Error::Database(sqlx::Error::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::SqlSafeStr;
    use sqlx::migrate::{Migration, MigrationType};

    fn known(versions: &[i64]) -> Migrator {
        Migrator::with_migrations(
            versions
                .iter()
                .map(|v| {
                    Migration::new(
                        *v,
                        "x".into(),
                        MigrationType::Simple,
                        "SELECT 1".into_sql_str(),
                        false,
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn a_newer_schema_is_refused_unless_it_only_adds() {
        let set = known(&[1, 2]);
        let at = |v: i64, d: &str| vec![(1, "x".into()), (2, "x".into()), (v, d.into())];
        assert!(check(&set, &at(3, "expand add polls"), "t").is_ok());
        assert!(matches!(
            check(&set, &at(3, "contract drop polls"), "t"),
            Err(Error::Newer {
                found: 3,
                known: 2,
                ..
            })
        ));
    }

    #[test]
    fn an_unknown_step_in_the_middle_is_refused() {
        let found = vec![(1, "x".into()), (2, "expand it".into()), (3, "x".into())];
        assert!(matches!(
            check(&known(&[1, 3]), &found, "t"),
            Err(Error::Foreign { version: 2, .. })
        ));
    }
}
