//! The dashboard's files, which are part of the program.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
struct Built;

/// One file, ready to be sent.
struct Asset {
    plain: Bytes,
    /// Where that is smaller.
    gzip: Option<Bytes>,
    media_type: &'static str,
    tag: HeaderValue,
    /// Its name has a hash of its content: it never changes.
    is_fixed: bool,
}

static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    Built::iter().filter_map(|name| Some((name.to_string(), Asset::new(&name, &Built::get(&name)?)))).collect()
});

impl Asset {
    fn new(name: &str, file: &rust_embed::EmbeddedFile) -> Self {
        let plain = Bytes::copy_from_slice(&file.data);
        let hash = crate::random::url_safe(&file.metadata.sha256_hash()[..12]);
        Self {
            gzip: gzip(&plain),
            plain,
            media_type: media_type(name),
            tag: HeaderValue::from_str(&format!("\"{hash}\"")).expect("base64 in quotes is a header value"),
            is_fixed: name.starts_with("assets/"),
        }
    }
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < plain.len()).then(|| packed.into())
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The file at a path, if there is one.
pub(crate) fn serve(path: &str, asked: &HeaderMap) -> Option<Response> {
    let name = match path {
        "/" => "index.html",
        "/docs" | "/docs/" => "docs.html",
        path => path.strip_prefix('/')?,
    };
    let asset = ASSETS.get(name)?;
    let mut headers = HeaderMap::new();
    let caching = if asset.is_fixed { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::ETAG, asset.tag.clone());
    if asked.get(header::IF_NONE_MATCH) == Some(&asset.tag) {
        return Some((axum::http::StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let accepts = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let body = match &asset.gzip {
        Some(packed) if accepts.is_some_and(|accepts| accepts.contains("gzip")) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            packed
        }
        _ => &asset.plain,
    };
    Some((headers, Body::from(body.clone())).into_response())
}
