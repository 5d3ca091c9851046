//! TLS to the outside: rustls with ring, the one provider, and the certificates that the machine trusts. Must not know who
//! is talked to.

use std::sync::Arc;

/// The configuration of a client. Ring is made the process's provider besides, for libraries that ask for one.
///
/// # Errors
/// What is wrong with the machine's TLS, in a sentence.
pub fn client() -> anyhow::Result<rustls::ClientConfig> {
    let provider = rustls::crypto::ring::default_provider();
    // Only fails where it is installed already.
    let _ = provider.clone().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!(
            "this machine trusts no certificates (is ca-certificates installed?): nothing is fetched by https"
        );
    }
    Ok(
        rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}
