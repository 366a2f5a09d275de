//! Who may say and hear what on the broker. Pure: names in, yes or no out.
//!
//! An agent speaks on its own `up` and `status` and hears its own `down`; the ingester hears all `up` and `status`
//! and speaks on any agent's `down`. What is not named here is refused.

use proof::AgentId;

use crate::ca::{INGESTER, Role};

/// Group in which several ingesters share the load.
pub const GROUP: &str = "ingesters";

/// Longest status text in bytes: it is kept in memory, one for each agent.
pub const MAX_STATUS: usize = 16 * 1024;

/// Who is at the other end of a connection, by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The gateway of this id.
    Agent(AgentId),
    /// One of the ingesters.
    Ingester,
}

/// What somebody wants to publish, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Full topic.
    pub topic: &'a str,
    /// Whether the broker should keep it.
    pub retain: bool,
    /// Bytes of the payload.
    pub length: usize,
}

impl Party {
    /// Who a certificate with this common name and organisation stands for.
    pub fn of_certificate(name: &str, organisation: &str) -> Option<Self> {
        if organisation == Role::Ingester.organisation() && name == INGESTER {
            return Some(Self::Ingester);
        }
        if organisation == Role::Agent.organisation() {
            return name.parse().ok().map(Self::Agent);
        }
        None
    }

    /// The party of a connection that was let in under this user name (the certificate's common name).
    pub fn of_user(name: &str) -> Option<Self> {
        if name == INGESTER { Some(Self::Ingester) } else { name.parse().ok().map(Self::Agent) }
    }

    /// Whether the party may connect under this MQTT client id. A second connection under the same client id closes
    /// the first, so no party can take an id that is another's: an agent's is its name, an ingester's is `ingester`
    /// or begins with `ingester-`.
    pub fn may_be(&self, client_id: &str) -> bool {
        match self {
            Self::Agent(agent) => client_id == agent.to_string(),
            Self::Ingester => {
                client_id == INGESTER
                    || client_id.strip_prefix(INGESTER).is_some_and(|rest| rest.starts_with('-'))
            }
        }
    }

    /// Whether the party may publish this. Only a status is kept by the broker, and only a short one.
    pub fn may_publish(&self, message: Message<'_>) -> bool {
        match self {
            Self::Agent(agent) => {
                (message.topic == agent.topic_up() && !message.retain)
                    || (message.topic == agent.topic_status() && message.length <= MAX_STATUS)
            }
            Self::Ingester => AgentId::of_topic(message.topic, "down").is_some() && !message.retain,
        }
    }

    /// Whether the party may leave this last will: only an agent, only as its status.
    pub fn may_leave_will(&self, message: Message<'_>) -> bool {
        match self {
            Self::Agent(agent) => message.topic == agent.topic_status() && message.length <= MAX_STATUS,
            Self::Ingester => false,
        }
    }

    /// Whether the party may subscribe to `filter`, as one of `group` where one is named.
    pub fn may_subscribe(&self, filter: &str, group: Option<&str>) -> bool {
        match self {
            Self::Agent(agent) => group.is_none() && filter == agent.topic_down(),
            Self::Ingester => {
                matches!(filter, "inuse/v1/+/up" | "inuse/v1/+/status")
                    && group.is_none_or(|group| group == GROUP)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(topic: &str) -> Message<'_> {
        Message { topic, retain: false, length: 10 }
    }

    fn agent(byte: u8) -> AgentId {
        AgentId([byte; 16])
    }

    #[test]
    fn an_agent_speaks_and_hears_on_its_own_topics_only() {
        let (me, other) = (agent(1), agent(2));
        let party = Party::Agent(me);
        assert!(party.may_publish(said(&me.topic_up())));
        assert!(party.may_publish(said(&me.topic_status())));
        assert!(party.may_subscribe(&me.topic_down(), None));
        for topic in [
            me.topic_down(),
            other.topic_up(),
            other.topic_status(),
            format!("{}/x", me.topic_up()),
            format!("/{}", me.topic_up()),
            me.topic_up().to_uppercase(),
            "inuse/v1/x/up".to_owned(),
            "$SYS/broker".to_owned(),
            String::new(),
        ] {
            assert!(!party.may_publish(said(&topic)), "{topic}");
        }
        for filter in [&other.topic_down(), &me.topic_up(), "#", "+/+/+/+", "inuse/v1/+/down", "$SYS/#"] {
            assert!(!party.may_subscribe(filter, None), "{filter}");
        }
        assert!(!party.may_subscribe(&me.topic_down(), Some(GROUP)));
    }

    #[test]
    fn only_a_short_status_is_kept_by_the_broker() {
        let me = agent(1);
        let party = Party::Agent(me);
        assert!(!party.may_publish(Message { topic: &me.topic_up(), retain: true, length: 1 }));
        assert!(party.may_publish(Message { topic: &me.topic_status(), retain: true, length: MAX_STATUS }));
        assert!(!party.may_publish(Message {
            topic: &me.topic_status(),
            retain: true,
            length: MAX_STATUS + 1
        }));
        assert!(!Party::Ingester.may_publish(Message { topic: &me.topic_down(), retain: true, length: 1 }));
    }

    #[test]
    fn a_last_will_is_the_agents_own_status_or_nothing() {
        let (me, other) = (agent(1), agent(2));
        assert!(Party::Agent(me).may_leave_will(said(&me.topic_status())));
        assert!(!Party::Agent(me).may_leave_will(said(&me.topic_up())));
        assert!(!Party::Agent(me).may_leave_will(said(&other.topic_status())));
        assert!(!Party::Ingester.may_leave_will(said(&me.topic_status())));
    }

    #[test]
    fn the_ingester_hears_all_and_answers_any() {
        let party = Party::Ingester;
        for filter in ["inuse/v1/+/up", "inuse/v1/+/status"] {
            assert!(party.may_subscribe(filter, None) && party.may_subscribe(filter, Some(GROUP)));
            assert!(!party.may_subscribe(filter, Some("spies")));
        }
        assert!(!party.may_subscribe("#", None));
        assert!(party.may_publish(said(&agent(3).topic_down())));
        assert!(!party.may_publish(said(&agent(3).topic_up())));
        assert!(!party.may_publish(said("inuse/v1/x/down")));
    }

    #[test]
    fn nobody_can_take_anothers_client_id() {
        let (me, other) = (agent(1), agent(2));
        assert!(Party::Agent(me).may_be(&me.to_string()));
        for taken in [other.to_string(), INGESTER.to_owned(), "ingester-1".to_owned(), String::new()] {
            assert!(!Party::Agent(me).may_be(&taken), "{taken}");
        }
        assert!(Party::Ingester.may_be("ingester-2"));
        assert!(!Party::Ingester.may_be("ingesters"));
        assert!(!Party::Ingester.may_be(&me.to_string()));
    }

    #[test]
    fn the_role_in_the_certificate_decides_with_the_name() {
        let name = agent(1).to_string();
        assert_eq!(Party::of_certificate(&name, "inuse agent"), Some(Party::Agent(agent(1))));
        assert_eq!(Party::of_certificate(INGESTER, "inuse ingester"), Some(Party::Ingester));
        assert_eq!(Party::of_certificate(INGESTER, "inuse agent"), None);
        assert_eq!(Party::of_certificate(&name, "inuse ingester"), None);
        assert_eq!(Party::of_certificate(&name, "inuse server"), None);
        assert_eq!(Party::of_certificate(&name, ""), None);
    }
}
