//! `betternews healthcheck`: asks a site on this machine whether it is ready. Must not need the databases.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::say;
use crate::config::Config;

/// No answer within this time is a no.
const LIMIT: Duration = Duration::from_secs(4);

/// Exit 0 when `/health/ready` answers 200, else 1.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let status = ask(config.http.bind)?;
    say(&format!("ready: {status}"));
    Ok(if status == "200" {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn ask(bind: SocketAddr) -> std::io::Result<String> {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip, bind.port()), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4_096).read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or("no answer").to_owned())
}
