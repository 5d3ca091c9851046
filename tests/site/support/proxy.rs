//! A proxy before PostgreSQL or Redis that can refuse, stall and cut. Must not know what passes through it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// How the proxy behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Takes connections and bytes, and passes nothing on: a frozen server.
    Stall,
    /// Cuts what is open, and refuses what comes: a dead server.
    Refuse,
}

/// Where the real server listens.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(String),
}

/// A proxy on a port of its own.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// Starts passing.
    pub async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, mode) = watch::channel(Mode::Pass);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *mode.borrow() == Mode::Refuse {
                    continue;
                }
                tokio::spawn(serve(client, upstream.clone(), mode.clone()));
            }
        });
        Self {
            address,
            mode: Arc::new(sender),
        }
    }

    /// Changes how it behaves, for open connections too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(client: TcpStream, upstream: Upstream, mode: watch::Receiver<Mode>) {
    let mut cut = mode.clone();
    let pipe = async {
        match upstream {
            Upstream::Unix(path) => {
                pipe(
                    client,
                    UnixStream::connect(path).await.expect("the server"),
                    mode,
                )
                .await
            }
            Upstream::Tcp(address) => {
                pipe(
                    client,
                    TcpStream::connect(address).await.expect("the server"),
                    mode,
                )
                .await
            }
        }
    };
    tokio::select! {
        () = pipe => {}
        _ = cut.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn pipe(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send + 'static,
    mode: watch::Receiver<Mode>,
) {
    let (client_read, client_write) = split(client);
    let (server_read, server_write) = split(server);
    tokio::select! {
        () = copy(client_read, server_write, mode.clone()) => {}
        () = copy(server_read, client_write, mode) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
