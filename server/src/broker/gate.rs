//! The hooks that put [`Party`]'s rules into rmqtt.
//!
//! rmqtt lets pass what no hook forbids, so every hook here answers always. It does not ask the access hook about
//! last wills: they are looked at when the client connects.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use proof::AgentId;
use rmqtt::codec::cert::CertInfo;
use rmqtt::codec::types::{MQTT_LEVEL_5, MQTT_LEVEL_311};
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::context::ServerContext;
use rmqtt::hook::{Handler, HookResult, Parameter, ReturnType, Type};
use rmqtt::session::Session;
use rmqtt::types::{
    AuthResult, ConnectInfo, LastWill, Publish, PublishAclResult, Subscribe, SubscribeAclResult,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::access::{Message, Party};

/// Whether an agent is enrolled and not revoked. Asked at every connection.
pub type Admit = Arc<dyn Fn(AgentId) -> Answer + Send + Sync>;

/// A yes or no that may take a moment.
pub type Answer = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Registers the hooks. To be awaited before the first connection is taken.
pub(super) async fn install(context: &ServerContext, admit: Admit, closing: &CancellationToken) {
    let register = context.extends.hook_mgr().register();
    for event in [
        Type::ClientAuthenticate,
        Type::ClientSubscribeCheckAcl,
        Type::MessagePublishCheckAcl,
        Type::ClientConnected,
        Type::ClientDisconnected,
    ] {
        register.add(event, Box::new(Gate { admit: Arc::clone(&admit), closing: closing.clone() })).await;
    }
    register.start().await;
}

struct Gate {
    admit: Admit,
    closing: CancellationToken,
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "with a named lifetime async_trait's signature is not the trait's"
)]
#[async_trait]
impl Handler for Gate {
    async fn hook(&self, event: &Parameter, so_far: Option<HookResult>) -> ReturnType {
        if let Parameter::ClientAuthenticate(client) = event {
            let answer = match self.let_in(client).await {
                Ok(()) => AuthResult::Allow(false, None),
                Err(reason) => {
                    warn!(client = %client.id(), reason, "client refused");
                    AuthResult::NotAuthorized
                }
            };
            return (false, Some(HookResult::AuthResult(answer)));
        }
        if let Parameter::MessagePublishCheckAcl(session, message) = event {
            return (false, Some(HookResult::PublishAclResult(may_publish(session, message))));
        }
        if let Parameter::ClientSubscribeCheckAcl(session, wanted) = event {
            return (false, Some(HookResult::SubscribeAclResult(may_subscribe(session, wanted))));
        }
        if let Parameter::ClientConnected(session) = event {
            info!(client = %session.id.client_id, address = ?session.id.remote_addr, "client connected");
        }
        if let Parameter::ClientDisconnected(session, reason) = event {
            info!(client = %session.id.client_id, %reason, "client disconnected");
        }
        (true, so_far)
    }
}

impl Gate {
    /// `Err` says why not.
    async fn let_in(&self, client: &ConnectInfo) -> Result<(), &'static str> {
        if ![MQTT_LEVEL_311, MQTT_LEVEL_5].contains(&client.proto_ver()) {
            return Err("speaks neither MQTT 3.1.1 nor 5");
        }
        let certificate = certificate(client).ok_or("no certificate")?;
        let name = certificate.common_name.as_deref().unwrap_or_default();
        let party = Party::of_certificate(name, certificate.organization.as_deref().unwrap_or_default())
            .ok_or("certificate has no role here")?;
        // The access rules read the user name later: rmqtt has put the certificate's name there.
        if client.username().is_none_or(|user| **user != *name) {
            return Err("user name is not the certificate's");
        }
        if !party.may_be(client.client_id()) {
            return Err("client id is not the certificate's");
        }
        if client.last_will().is_some_and(|will| !party.may_leave_will(said_last(&will))) {
            return Err("last will is not the client's status");
        }
        let admitted = async {
            match party {
                Party::Agent(agent) => (self.admit)(agent).await,
                Party::Ingester => true,
            }
        };
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err("the broker is closing"),
            admitted = admitted => admitted.then_some(()).ok_or("not enrolled, or revoked"),
        }
    }
}

fn may_publish(session: &Session, message: &Publish) -> PublishAclResult {
    let said = Message { topic: &message.topic, retain: message.retain, length: message.payload.len() };
    if party(session).is_some_and(|party| party.may_publish(said)) {
        return PublishAclResult::allow();
    }
    warn!(client = %session.id.client_id, topic = %message.topic, retain = said.retain, "publish refused");
    PublishAclResult::rejected(false, None)
}

fn may_subscribe(session: &Session, wanted: &Subscribe) -> SubscribeAclResult {
    let group = wanted.opts.shared_group().map(|group| &**group);
    if party(session).is_some_and(|party| party.may_subscribe(&wanted.topic_filter, group)) {
        debug!(client = %session.id.client_id, filter = %wanted.topic_filter, "subscribed");
        return SubscribeAclResult::new_success(wanted.opts.qos(), None);
    }
    warn!(client = %session.id.client_id, filter = %wanted.topic_filter, "subscription refused");
    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
}

fn party(session: &Session) -> Option<Party> {
    session.id.username.as_deref().and_then(Party::of_user)
}

fn certificate(client: &ConnectInfo) -> Option<&CertInfo> {
    match client {
        ConnectInfo::V3(_, connect) => connect.cert.as_ref(),
        ConnectInfo::V5(_, connect) => connect.cert.as_ref(),
    }
}

fn said_last<'a>(will: &'a LastWill<'_>) -> Message<'a> {
    match will {
        LastWill::V3(will) => Message { topic: &will.topic, retain: will.retain, length: will.message.len() },
        LastWill::V5(will) => Message { topic: &will.topic, retain: will.retain, length: will.message.len() },
    }
}
