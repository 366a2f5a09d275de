//! Which records of a log are which action of which module.

use serde::Serialize;

use crate::plant::firm::Module;
use crate::plant::forms::Form;

/// A rule of a manifest.
#[derive(Serialize)]
pub(super) struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'static str>,
    action: &'static str,
    when: Vec<Condition>,
}

#[derive(Serialize)]
struct Condition {
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    equals: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<&'static str>,
}

fn is(field: &'static str, text: &'static str) -> Condition {
    Condition { field, equals: Some(text), regex: None }
}

fn like(field: &'static str, regex: &'static str) -> Condition {
    Condition { field, equals: None, regex: Some(regex) }
}

fn rule(module: Option<Module>, action: &'static str, when: Vec<Condition>) -> Rule {
    Rule { module: module.map(Module::code), action, when }
}

/// The rules of a log of this form that holds these modules.
pub(super) fn rules(form: Form, modules: &[Module]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = modules.iter().flat_map(|module| key_actions(form, *module)).collect();
    rules.extend(other_actions(form));
    rules
}

fn key_actions(form: Form, module: Module) -> Vec<Rule> {
    let actions: &[&'static str] = match module {
        Module::Orders | Module::Quality => &["create"],
        Module::Reports => &["report", "change"],
        Module::Stock => &["post"],
    };
    actions
        .iter()
        .zip(conditions(form, module))
        .map(|(action, when)| rule(Some(module), action, when))
        .collect()
}

/// One set of conditions for each action of the module, in their order.
fn conditions(form: Form, module: Module) -> Vec<Vec<Condition>> {
    match form {
        Form::SpringBoot => match module {
            Module::Orders => vec![vec![like("message", "^工单下达 ")]],
            Module::Reports => vec![vec![like("message", "^报工成功 ")], vec![like("message", "^报工修改 ")]],
            Module::Quality => vec![vec![like("message", "^检验提交 ")]],
            Module::Stock => vec![vec![like("message", "^完工入库 ")]],
        },
        Form::Kingdee => {
            let saved = |object, operation| {
                vec![is("object", object), is("environment", "3"), is("operation", operation)]
            };
            match module {
                Module::Orders => vec![saved("PRD_MO", "审核")],
                Module::Reports => vec![saved("PRD_MORPT", "保存"), saved("PRD_MORPT", "修改")],
                Module::Quality => vec![saved("QM_InspectBill", "提交")],
                Module::Stock => vec![saved("PRD_INSTOCK", "审核")],
            }
        }
        Form::RuoYi => {
            let done = |title, kind| vec![is("title", title), is("business_type", kind), is("status", "0")];
            match module {
                Module::Orders => vec![done("工单下达", "1")],
                Module::Reports => vec![done("报工单", "1"), done("报工单", "2")],
                Module::Quality => vec![done("检验单", "1")],
                Module::Stock => vec![done("完工入库单", "1")],
            }
        }
        Form::Tomcat => {
            let posted = |url| vec![is("method", "POST"), like("url", url), like("status", "^2")];
            match module {
                Module::Orders => vec![posted(r"/release\?")],
                Module::Reports => vec![posted(r"/report\?"), posted(r"/report/edit\?")],
                Module::Quality => vec![posted(r"/inspect\?")],
                Module::Stock => vec![posted(r"/receive\?")],
            }
        }
        Form::Nginx => Vec::new(),
    }
}

/// What is no key action.
fn other_actions(form: Form) -> Vec<Rule> {
    let other = |action, condition| rule(None, action, vec![condition]);
    match form {
        Form::SpringBoot => vec![
            other("login", like("message", "^登录成功 ")),
            other("logout", like("message", "^退出登录 ")),
            other("query", like("message", "^查询")),
        ],
        Form::Kingdee => vec![
            other("login", is("environment", "0")),
            other("query", is("environment", "1")),
            other("logout", is("environment", "4")),
        ],
        Form::RuoYi => vec![other("login", is("title", "登录")), other("logout", is("title", "退出"))],
        Form::Tomcat | Form::Nginx => vec![
            other("login", like("url", "/login$")),
            other("logout", like("url", "/logout$")),
            other("query", is("method", "GET")),
            other("other", is("method", "POST")),
        ],
    }
}
