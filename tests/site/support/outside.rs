//! A web server that misbehaves in every way, one a path. Must not know who asks it.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// A server on a free port of this machine; it stops when dropped.
pub struct Outside {
    /// Its port.
    pub port: u16,
    hits: Arc<Mutex<HashMap<String, usize>>>,
    taken: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
    task: JoinHandle<()>,
}

/// A page with all that a page can say of itself.
const PAGE: &str = "<!doctype html><html><head><meta charset=utf-8><title>A page &amp; its title | Outside</title>
<meta property=og:site_name content=Outside><meta name=description content='What the page is about, <in> a sentence.'>
<link rel=canonical href='/canonical?utm_source=x'></head><body><h1>Heading</h1></body></html>";

impl Outside {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let hits = Arc::new(Mutex::new(HashMap::new()));
        let gate = Arc::new(Semaphore::new(0));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (counted, open, kept) = (hits.clone(), gate.clone(), taken.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, counted.clone(), kept.clone(), open.clone()));
            }
        });
        Self {
            port,
            hits,
            taken,
            gate,
            task,
        }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How often a path has been asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.hits
            .lock()
            .expect("no panic before")
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    /// The bodies that `/hook` has taken, oldest first.
    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("no panic before").clone()
    }

    /// Lets so many of those who wait at `/gate` through.
    pub fn open_gate(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn page(body: &[u8], headers: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// So many megabytes of spaces, packed.
fn bomb(megabytes: u32) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let spaces = vec![b' '; 1 << 20];
    (0..megabytes).for_each(|_| packed.write_all(&spaces).expect("memory takes it"));
    packed.finish().expect("memory takes it")
}

fn brotli_bomb(megabytes: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut packed, 4_096, 1, 22);
    let spaces = vec![b' '; megabytes << 20];
    writer.write_all(&spaces).expect("memory takes it");
    drop(writer);
    packed
}

fn deflate_bomb(megabytes: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let spaces = vec![b' '; megabytes << 20];
    packed.write_all(&spaces).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

/// The body that a request's head announces.
async fn body(head: &str, stream: &mut TcpStream) -> String {
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the whole body");
    String::from_utf8(body).expect("text")
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

async fn answer(
    mut stream: TcpStream,
    hits: Arc<Mutex<HashMap<String, usize>>>,
    taken: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let hit = {
        let mut hits = hits.lock().expect("no panic before");
        let hit = hits.entry(path.clone()).or_insert(0);
        *hit += 1;
        *hit
    };
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
    let answer = match path.split('?').next().unwrap_or_default() {
        "/page" => page(PAGE.as_bytes(), ""),
        "/latin1" => page(b"<meta charset=iso-8859-1><title>Caf\xe9</title>", ""),
        "/untitled" => page(b"<p>Nothing to see", ""),
        "/gate" => {
            gate.acquire().await.expect("open").forget();
            page(PAGE.as_bytes(), "")
        }
        "/flaky" if hit < 3 => {
            b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        "/flaky" => page(PAGE.as_bytes(), ""),
        "/fail" => b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_vec(),
        // A receiver of messages that is busy at first.
        "/hook" if hit < 2 => b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/hook" => {
            let body = body(&head, &mut stream).await;
            taken.lock().expect("no panic before").push(body);
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
        }
        "/missing" => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/there" => redirect("/page"),
        "/loop" => redirect("/loop"),
        "/private" => redirect("http://10.0.0.1/"),
        "/metadata" => redirect("http://0xA9FEA9FE/latest/meta-data/"),
        "/file" => redirect("file:///etc/passwd"),
        "/inside" => redirect("http://inside.test/"),
        "/long" => redirect(&format!("/page?{}", "x".repeat(2_000))),
        "/other-port" => redirect("http://127.0.0.1:22/"),
        "/nowhere" => b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/pdf" => {
            b"HTTP/1.1 200 OK\r\ncontent-type: application/pdf\r\ncontent-length: 4\r\n\r\n%PDF"
                .to_vec()
        }
        "/untyped" => b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n%PDF".to_vec(),
        "/bomb" => page(&bomb(4), "content-encoding: gzip\r\n"),
        "/bomb-br" => page(&brotli_bomb(4), "content-encoding: br\r\n"),
        "/bomb-deflate" => page(&deflate_bomb(4), "content-encoding: deflate\r\n"),
        "/bomb-zstd" => {
            let spaces = vec![b' '; 4 << 20];
            let packed = zstd::encode_all(&spaces[..], 1).expect("memory takes it");
            page(&packed, "content-encoding: zstd\r\n")
        }
        "/not-gzip" => page(b"this is not packed", "content-encoding: gzip\r\n"),
        "/bad-chunk" => {
            format!("{ok}transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n").into_bytes()
        }
        "/cut" => format!("{ok}content-length: 1000\r\n\r\n<title>half").into_bytes(),
        "/not-http" => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        "/many-headers" => {
            let many: String = (0..5_000).map(|n| format!("x-{n}: 1\r\n")).collect();
            format!("{ok}{many}content-length: 0\r\n\r\n").into_bytes()
        }
        "/silent-body" => {
            let _ = stream
                .write_all(format!("{ok}content-length: 1000\r\n\r\n<title>").as_bytes())
                .await;
            return tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        "/slow-head" => {
            for byte in ok.bytes().cycle() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return;
        }
        "/endless" => {
            let _ = stream
                .write_all(format!("{ok}\r\n<title>Endless</title>").as_bytes())
                .await;
            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
            return;
        }
        _ => return tokio::time::sleep(Duration::from_secs(3_600)).await,
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}
