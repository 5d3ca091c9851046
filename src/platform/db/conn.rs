//! A pooled connection whose whole use is bounded in time, and that is closed, never returned, after it
//! was cut off. Must not know any table.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use deadpool::managed::Object;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres,
};
use sqlx::{Describe, Either, Error, Execute, Executor, SqlStr};
use tokio::time::{Sleep, sleep_until};
use tracing::{Instrument, Span};

use super::error::{Trouble, deadline_exceeded, is_connection_lost};
use super::pool::{Db, Opener, Pooled};

/// A connection for one request's queries, from [`Db::conn`].
///
/// `&mut Conn` is an `sqlx::Executor`, so that `query!(..).fetch_all(&mut *conn)` and functions that take
/// `impl PgExecutor<'_>` work on it. Once its time is used up, the running query and all later ones give
/// the error that [`is_deadline`](super::is_deadline) recognises.
///
/// A handler owns its transaction: [`begin`](Self::begin), queries, [`commit`](Self::commit). Dropped before
/// that (an early `?`, a client that went away), the connection is closed, and the server rolls back.
/// A stream that is dropped half-way, or a cancelled query, closes it too.
pub struct Conn {
    db: Db,
    pooled: Option<Object<Opener>>,
    state: State,
    deadline: Pin<Box<Sleep>>,
}

/// What decides whether the connection may go back.
#[derive(Debug, Default)]
struct State {
    in_flight: bool,
    in_transaction: bool,
    statement_failed: bool,
    broken: bool,
    /// What the newest failure says about another attempt.
    trouble: Option<Trouble>,
}

impl State {
    fn finish(&mut self, error: Option<&Error>) {
        self.in_flight = false;
        if let Some(error) = error {
            self.statement_failed = true;
            self.broken |= is_connection_lost(error);
            self.trouble = Trouble::of(error);
        }
    }

    fn is_reusable(&self) -> bool {
        !(self.in_flight || self.in_transaction || self.broken)
    }
}

impl Conn {
    pub(super) fn new(db: Db, pooled: Object<Opener>, deadline: Instant) -> Self {
        Self {
            db,
            pooled: Some(pooled),
            state: State::default(),
            deadline: Box::pin(sleep_until(deadline.into())),
        }
    }

    /// Opens a transaction. They do not nest.
    ///
    /// # Errors
    /// As any query; `sqlx::Error::BeginFailed` where one is open already.
    pub async fn begin(&mut self) -> Result<(), Error> {
        if self.state.in_transaction {
            return Err(Error::BeginFailed);
        }
        self.state.in_transaction = true;
        self.state.statement_failed = false;
        self.state.trouble = None;
        self.command("BEGIN").await
    }

    /// Makes the transaction's changes last.
    ///
    /// # Errors
    /// As any query. Where a statement inside it had failed, `sqlx::Error::InvalidArgument`: PostgreSQL
    /// would roll back and call it success. Nothing was kept then.
    pub async fn commit(&mut self) -> Result<(), Error> {
        if self.state.statement_failed {
            self.rollback().await?;
            return Err(Error::InvalidArgument(
                "a transaction in which a statement had failed cannot be committed".to_owned(),
            ));
        }
        let outcome = self.command("COMMIT").await;
        if self.state.trouble == Some(Trouble::Lost) {
            // It may have been carried out.
            self.state.trouble = None;
        }
        outcome?;
        self.state.in_transaction = false;
        Ok(())
    }

    /// Undoes the transaction's changes, and keeps the connection usable.
    ///
    /// # Errors
    /// As any query.
    pub async fn rollback(&mut self) -> Result<(), Error> {
        self.command("ROLLBACK").await?;
        self.state.in_transaction = false;
        self.state.statement_failed = false;
        Ok(())
    }

    /// Whether a transaction is open.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.state.in_transaction
    }

    /// Rolls back, and leaves it known why.
    pub(super) async fn undo(&mut self) -> Result<(), Error> {
        let trouble = self.state.trouble;
        let outcome = self.rollback().await;
        self.state.trouble = trouble;
        outcome
    }

    /// What the newest failure says about another attempt, once.
    pub(super) fn take_trouble(&mut self) -> Option<Trouble> {
        self.state.trouble.take()
    }

    /// Puts another connection in the place of a lost one, within what is left of the deadline.
    pub(super) async fn reconnect(&mut self) -> Result<(), Error> {
        let left = self
            .deadline
            .deadline()
            .into_std()
            .saturating_duration_since(Instant::now());
        *self = self.db.conn_with_deadline(left).await?;
        Ok(())
    }

    async fn command(&mut self, sql: &'static str) -> Result<(), Error> {
        self.bounded(operation(sql), async |connection: &mut PgConnection| {
            sqlx::raw_sql(sql).execute(connection).await.map(drop)
        })
        .await
    }

    /// Runs one exchange with the server within what is left of the deadline.
    async fn bounded<T>(
        &mut self,
        operation: &str,
        exchange: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (connection, state, mut deadline) = self.start()?;
        let span = span(operation);
        let outcome = tokio::select! {
            biased;
            outcome = exchange(connection).instrument(span.clone()) => outcome,
            () = deadline.as_mut() => Err(deadline_exceeded()),
        };
        state.finish(outcome.as_ref().err());
        if outcome.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        outcome
    }

    /// The connection, marked as in the middle of something until `State::finish`.
    fn start(&mut self) -> Result<(&mut PgConnection, &mut State, Pin<&mut Sleep>), Error> {
        let pooled = self.pooled.as_mut().ok_or(Error::PoolClosed)?;
        if self.state.broken || self.state.in_flight || self.deadline.is_elapsed() {
            self.state.broken = true;
            return Err(deadline_exceeded());
        }
        self.state.in_flight = true;
        Ok((
            &mut pooled.connection,
            &mut self.state,
            self.deadline.as_mut(),
        ))
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(mut pooled) = self.pooled.take() else {
            return;
        };
        if self.state.is_reusable() {
            pooled.returned = Instant::now();
            return;
        }
        if self.state.broken || self.state.in_flight && self.deadline.is_elapsed() {
            self.db.suspect();
        }
        // Taken out of the pool and dropped: the socket closes at once, with no farewell that could hang.
        drop::<Pooled>(Object::take(pooled));
    }
}

impl<'c> Executor<'c> for &'c mut Conn {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Known::of(query);
        let span = span(query.operation());
        match self.start() {
            Ok((connection, state, deadline)) => {
                // Nothing is sent before the first poll; a stream that was never polled harms nothing.
                state.in_flight = false;
                Box::pin(Bounded {
                    rows: connection.fetch_many(query),
                    state,
                    deadline,
                    ended: false,
                    span,
                })
            }
            Err(error) => Box::pin(futures_util::stream::once(async { Err(error) })),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let query = Known::of(query);
            let sql = query.sql.clone();
            self.bounded(
                operation(sql.as_str()),
                async |connection: &mut PgConnection| connection.fetch_optional(query).await,
            )
            .await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.bounded("PREPARE", async |connection: &mut PgConnection| {
                connection.prepare_with(sql, parameters).await
            })
            .await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.bounded("DESCRIBE", async |connection: &mut PgConnection| {
                connection.describe(sql).await
            })
            .await
        })
    }
}

/// The rows of one query, until the deadline.
struct Bounded<'e> {
    rows: BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>,
    state: &'e mut State,
    deadline: Pin<&'e mut Sleep>,
    ended: bool,
    span: Span,
}

/// A query whose text is known before it is carried out; sqlx gives the text only to who carries it out.
struct Known {
    sql: SqlStr,
    statement: Option<PgStatement>,
    arguments: Result<Option<PgArguments>, BoxDynError>,
    persistent: bool,
}

impl Known {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Self {
        Self {
            persistent: query.persistent(),
            arguments: query.take_arguments(),
            statement: query.statement().cloned(),
            sql: query.sql(),
        }
    }

    fn operation(&self) -> &str {
        operation(self.sql.as_str())
    }
}

impl Execute<'_, Postgres> for Known {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// The first word of a statement, such as `SELECT`.
fn operation(sql: &str) -> &str {
    sql.split_whitespace().next().unwrap_or_default()
}

/// What is said of one exchange in traces; the statement itself is an event of sqlx inside it. Nothing at all where no
/// traces are exported.
fn span(operation: &str) -> Span {
    tracing::debug_span!(
        "sql",
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        db.system.name = "postgresql",
        db.operation.name = operation,
    )
}

impl Stream for Bounded<'_> {
    type Item = Result<Either<PgQueryResult, PgRow>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        this.state.in_flight = true;
        let entered = this.span.enter();
        let item = match this.rows.as_mut().poll_next(cx) {
            Poll::Ready(item) => item,
            Poll::Pending => {
                ready!(this.deadline.as_mut().poll(cx));
                Some(Err(deadline_exceeded()))
            }
        };
        drop(entered);
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                this.span.record("otel.status_code", "ERROR");
                this.ended = true;
                this.state.finish(Some(error));
            }
            None => {
                this.ended = true;
                this.state.finish(None);
            }
        }
        Poll::Ready(item)
    }
}
