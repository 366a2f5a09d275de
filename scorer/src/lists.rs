//! Small closed lists of the wire, as the tallies hold them.

use proof::catalogue::MODULES;
use proof::wire::{ActionClass, ActorClass, ExclusionReason, Origin};

use crate::Text;
use crate::history::Action;

/// A module of the catalogue by its place, or one this reader does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Module(pub(crate) u8);

impl Module {
    /// Records of a module that the manifest does not name or the catalogue does not know.
    pub(crate) const UNMAPPED: Self = Self(u8::MAX);

    /// The module with this code name.
    pub(crate) fn of(code: &str) -> Self {
        let place = MODULES.iter().position(|module| module.code == code);
        place.and_then(|place| u8::try_from(place).ok()).map_or(Self::UNMAPPED, Self)
    }

    /// Work orders and production reports: what people key in beside machines.
    pub(crate) fn is_production(self) -> bool {
        let name = MODULES.get(usize::from(self.0)).map(|module| module.code);
        matches!(name, Some("work_order" | "production_report"))
    }
}

/// The wire's class of action; what this reader does not know is no key action.
pub(crate) fn action(action: u32) -> Action {
    let class = i32::try_from(action).ok().and_then(|action| ActionClass::try_from(action).ok());
    match class {
        Some(ActionClass::Create) => Action::Create,
        Some(ActionClass::Login) => Action::Login,
        Some(class) if proof::observation::is_key(class) => Action::Step,
        Some(_) | None => Action::Other,
    }
}

/// The wire's actor class; what this reader does not know counts for nobody.
pub(crate) fn actor_class(number: u32) -> ActorClass {
    i32::try_from(number)
        .ok()
        .and_then(|number| ActorClass::try_from(number).ok())
        .unwrap_or(ActorClass::Unspecified)
}

/// The wire's origin; what this reader does not know never decides.
pub(crate) fn origin(number: u32) -> Origin {
    i32::try_from(number).ok().and_then(|number| Origin::try_from(number).ok()).unwrap_or(Origin::Declared)
}

/// Why an account's actions do not count; `None` for a person's account.
pub(crate) fn exclusion(class: ActorClass, reason: u32) -> Option<Text> {
    let reason = i32::try_from(reason).ok().and_then(|reason| ExclusionReason::try_from(reason).ok());
    match class {
        ActorClass::Human | ActorClass::SharedTerminal => None,
        ActorClass::Provider => Some(Text::new("实施方账号", "provider's account")),
        ActorClass::Interface => Some(Text::new("接口或设备账号", "interface or device account")),
        ActorClass::Unspecified => Some(Text::new("账号类别未知", "account of unknown class")),
        ActorClass::Excluded => Some(match reason {
            Some(ExclusionReason::Admin) => Text::new("管理员账号", "administrator's account"),
            Some(ExclusionReason::Test) => Text::new("测试或演示账号", "test or demo account"),
            Some(ExclusionReason::System) => Text::new("系统账号", "system account"),
            Some(ExclusionReason::NoActor) => Text::new("记录未写明操作人", "the record names nobody"),
            Some(ExclusionReason::None) | None => Text::new("其他排除账号", "otherwise excluded account"),
        }),
    }
}
