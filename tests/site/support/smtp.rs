//! A mail server in the test's own process that keeps what it is given (RFC 5321, the least of it), and refuses as often
//! as it is told to. Must not know what letters say.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// One letter that came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// Whom the envelope names.
    pub to: String,
    /// Head and body as they came.
    pub data: String,
}

impl Received {
    /// The body with quoted-printable line breaks and signs undone, for looking for sentences and links.
    pub fn text(&self) -> String {
        self.data.replace("=\r\n", "").replace("=3D", "=")
    }
}

/// A mail server on a free port; it ends with the test's runtime.
#[derive(Clone)]
pub struct SmtpSink {
    port: u16,
    letters: Arc<Mutex<Vec<Received>>>,
    refusals: Arc<AtomicU32>,
    refusal: Arc<Mutex<&'static str>>,
}

impl SmtpSink {
    /// Starts listening.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let sink = Self {
            port: listener.local_addr().expect("bound").port(),
            letters: Arc::default(),
            refusals: Arc::default(),
            refusal: Arc::new(Mutex::new("451 later")),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = serving.clone();
                tokio::spawn(async move { sink.serve(stream).await });
            }
        });
        sink
    }

    /// What `SMTP_URL` is to be.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Answers the next `count` letters with "come again later".
    pub fn refuse(&self, count: u32) {
        self.refusals.store(count, Ordering::SeqCst);
    }

    /// Answers the next `count` letters with these words.
    pub fn refuse_with(&self, words: &'static str, count: u32) {
        *self.refusal.lock().expect("no panic before") = words;
        self.refuse(count);
    }

    /// All letters that were taken, oldest first.
    pub fn letters(&self) -> Vec<Received> {
        self.letters.lock().expect("no panic before").clone()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut to = String::new();
        write.write_all(b"220 sink\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let upper = line.to_ascii_uppercase();
            let refusal = *self.refusal.lock().expect("no panic before");
            let refusal = format!("{refusal}\r\n");
            let answer: &[u8] = if upper.starts_with("RCPT TO:") {
                to = line[8..].trim().trim_matches(['<', '>']).to_owned();
                let refused = self
                    .refusals
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                if refused.is_ok() {
                    refusal.as_bytes()
                } else {
                    b"250 ok\r\n"
                }
            } else if upper == "DATA" {
                write.write_all(b"354 go on\r\n").await?;
                let mut data = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    data.push_str("\r\n");
                }
                let letter = Received {
                    to: to.clone(),
                    data,
                };
                self.letters.lock().expect("no panic before").push(letter);
                b"250 kept\r\n"
            } else if upper == "QUIT" {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            } else {
                b"250 ok\r\n"
            };
            write.write_all(answer).await?;
        }
        Ok(())
    }
}
