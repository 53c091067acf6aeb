//! Buckets of the three providers.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};

use super::Access;

/// Opens a bucket, or a part of one: what stands behind `SCHEME://`.
pub(super) fn bucket(scheme: &str, rest: &str, access: &Access) -> anyhow::Result<Arc<dyn ObjectStore>> {
    // The clients of the stores take the process's own TLS provider; whoever comes first sets it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    anyhow::ensure!(!bucket.is_empty(), "names no bucket");
    let retry = match access.brief {
        false => RetryConfig::default(),
        true => RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(20),
            ..RetryConfig::default()
        },
    };
    let store: Arc<dyn ObjectStore> = match scheme {
        "s3" | "s3a" => Arc::new(s3(bucket, access).with_retry(retry).build()?),
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry)
                .build()?,
        ),
        "az" | "azure" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry)
                .build()?,
        ),
        other => anyhow::bail!("{other}:// is none of s3://, gs:// and az://"),
    };
    let prefix = Path::parse(prefix.trim_matches('/'))?;
    Ok(match prefix.as_ref().is_empty() {
        true => store,
        false => Arc::new(PrefixStore::new(store, prefix)),
    })
}

fn s3(bucket: &str, access: &Access) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if !access.region.is_empty() {
        builder = builder.with_region(&access.region);
    }
    if !access.endpoint.is_empty() {
        builder = builder.with_endpoint(&access.endpoint);
    }
    if access.allow_http {
        builder = builder.with_allow_http(true);
    }
    builder
}
