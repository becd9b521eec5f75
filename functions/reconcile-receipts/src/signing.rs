//! Requests signed by hand, for what the SDK does too slowly or only in another crate.

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;

/// What is sent.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// Signs a request for S3 or S3 Control in a Region; why not, in words.
pub(crate) async fn signed(sdk: &SdkConfig, region: &Region, request: &Unsigned<'_>) -> Result<HttpRequest, String> {
    let Unsigned { method, url, headers, body } = *request;
    let provider = sdk.credentials_provider().ok_or("there are no credentials")?;
    let credentials = provider.provide_credentials().await.map_err(|error| causes(&error))?;
    let identity: Identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let now = sdk.time_source().map(|time| time.now());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("s3")
        .time(now.ok_or("there is no clock")?)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let signable = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|error| causes(&error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| causes(&error))?.into_parts();
    let mut signed = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        signed = signed.header(*name, *value);
    }
    let sent = if body.is_empty() { SdkBody::empty() } else { SdkBody::from(body.to_vec()) };
    let mut signed = signed.body(sent).map_err(|error| error.to_string())?;
    instructions.apply_to_request_http1x(&mut signed);
    HttpRequest::try_from(signed).map_err(|error| error.to_string())
}
