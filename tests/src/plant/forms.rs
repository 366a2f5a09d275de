//! What one deed looks like in the log of each kind of system.
//!
//! The forms are those of common systems: Spring Boot's default file log, Tomcat's `AccessLogValve` with `%h %l %u
//! %t "%r" %s %b`, nginx `combined`, an export of RuoYi's table `sys_oper_log`, and an export of Kingdee Cloud's
//! `T_BAS_OPERATELOG`. The content is invented.

use jiff::civil::Date;

use super::firm::{Account, Module};
use crate::recordings::local_day;

/// The form of a log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `2026-07-23 08:21:45.112  INFO 5312 --- [nio-8080-exec-7] c.x.mes.report.ReportService : 报工成功 …`
    SpringBoot,
    /// `192.168.1.62 - wang01 [23/Jul/2026:08:21:45 +0800] "POST /mes/do/report?… HTTP/1.1" 200 311`
    Tomcat,
    /// nginx combined; the user is always `-`.
    Nginx,
    /// The columns of `sys_oper_log` as CSV, CRLF.
    RuoYi,
    /// `time|user|org|subsystem|object|environment|operation|description|computer|address`, CRLF.
    Kingdee,
}

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Logged in. No key action.
    LogIn,
    /// Logged out. No key action.
    LogOut,
    /// Looked at a list. No key action.
    Query(Module),
    /// The system's own hourly job. Nobody did it.
    Job,
    /// Released a work order.
    Release,
    /// Reported production.
    Report,
    /// Corrected a report. No key action: it makes no document.
    Correct,
    /// Entered an inspection.
    Inspect,
    /// Booked finished goods.
    Receive,
}

impl Deed {
    /// The module whose key action this is.
    pub const fn key_action(self) -> Option<Module> {
        match self {
            Self::LogIn | Self::LogOut | Self::Query(_) | Self::Job | Self::Correct => None,
            Self::Release => Some(Module::Orders),
            Self::Report => Some(Module::Reports),
            Self::Inspect => Some(Module::Quality),
            Self::Receive => Some(Module::Stock),
        }
    }

    /// The module it belongs to.
    pub const fn module(self) -> Option<Module> {
        match self {
            Self::Query(module) => Some(module),
            Self::Correct => Some(Module::Reports),
            Self::LogIn | Self::LogOut | Self::Job => None,
            Self::Release | Self::Report | Self::Inspect | Self::Receive => self.key_action(),
        }
    }
}

/// One deed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Index of the account.
    pub account: usize,
    /// What was done.
    pub deed: Deed,
    /// Running number of the document within the day, from 1.
    pub serial: u32,
    /// Pieces.
    pub quantity: u32,
}

impl Form {
    /// What ends a line.
    pub const fn line_end(self) -> &'static str {
        match self {
            Self::SpringBoot | Self::Tomcat | Self::Nginx => "\n",
            Self::RuoYi | Self::Kingdee => "\r\n",
        }
    }

    /// The line of an event, without its end; `None` where this system writes nothing about it.
    pub fn line(self, event: &Event, by: &Account) -> Option<String> {
        let moment = Moment::of(event.at_ms);
        match self {
            Self::SpringBoot => Some(spring_boot(event, by, &moment)),
            Self::Tomcat => {
                let (method, path) = request(event, &moment, "/mes/do")?;
                let bytes = 96 + event.serial % 700;
                Some(format!(
                    "{} - {} [{}] \"{method} {path} HTTP/1.1\" 200 {bytes}",
                    by.ip,
                    by.login,
                    moment.web()
                ))
            }
            Self::Nginx => {
                let (method, path) = request(event, &moment, "/prod-api/mes")?;
                let bytes = 96 + event.serial % 700;
                Some(format!(
                    "{} - - [{}] \"{method} {path} HTTP/1.1\" 200 {bytes} \"http://192.168.1.5/\" \"Mozilla/5.0 (Windows NT 10.0)\"",
                    by.ip,
                    moment.web()
                ))
            }
            Self::RuoYi => ruoyi(event, by, &moment),
            Self::Kingdee => kingdee(event, by, &moment),
        }
    }
}

/// A moment as logs write it, in China Standard Time.
struct Moment {
    date: Date,
    into_ms: i64,
}

impl Moment {
    fn of(wall_ms: i64) -> Self {
        let (date, into_ms) = local_day(wall_ms);
        Self { date, into_ms }
    }

    fn time(&self) -> String {
        let seconds = self.into_ms / 1000;
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn millis(&self) -> i64 {
        self.into_ms % 1000
    }

    /// `23/Jul/2026:08:21:45 +0800`
    fn web(&self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS[usize::from(self.date.month().unsigned_abs()) - 1];
        format!("{:02}/{month}/{}:{} +0800", self.date.day(), self.date.year(), self.time())
    }

    /// `260723`
    fn short(&self) -> String {
        format!("{:02}{:02}{:02}", self.date.year() % 100, self.date.month(), self.date.day())
    }

    /// Number of a work order: month, day and a running number.
    fn order(&self, event: &Event) -> String {
        format!("MO{}-{:03}", self.short(), 1 + event.serial % 40)
    }
}

fn spring_boot(event: &Event, by: &Account, moment: &Moment) -> String {
    let order = moment.order(event);
    let (who, pieces) = (by.login, event.quantity);
    let (class, text) = match event.deed {
        Deed::LogIn => ("c.x.mes.system.LoginService", format!("登录成功 用户={who} 终端={}", by.ip)),
        Deed::LogOut => ("c.x.mes.system.LoginService", format!("退出登录 用户={who}")),
        Deed::Query(module) => {
            ("c.x.mes.query.QueryService", format!("查询列表 模块={} 用户={who} 条数=20", module.name()))
        }
        Deed::Job => ("c.x.mes.job.SyncJob", format!("定时同步完成 条数={pieces}")),
        Deed::Release => {
            ("c.x.mes.order.OrderService", format!("工单下达 工单={order} 数量={pieces} 操作员={who}"))
        }
        Deed::Report => (
            "c.x.mes.report.ReportService",
            format!("报工成功 工单={order} 工序=20 数量={pieces} 操作员={who}"),
        ),
        Deed::Correct => (
            "c.x.mes.report.ReportService",
            format!("报工修改 工单={order} 工序=20 数量={pieces} 操作员={who}"),
        ),
        Deed::Inspect => (
            "c.x.mes.quality.InspectService",
            format!("检验提交 工单={order} 结果=合格 数量={pieces} 操作员={who}"),
        ),
        Deed::Receive => {
            ("c.x.mes.stock.StockService", format!("完工入库 工单={order} 数量={pieces} 操作员={who}"))
        }
    };
    let thread = if event.deed == Deed::Job {
        "  scheduling-1]".to_owned()
    } else {
        format!("nio-8080-exec-{}]", 1 + event.serial % 9)
    };
    format!(
        "{} {}.{:03}  INFO 5312 --- [{thread} {class} : {text}",
        moment.date,
        moment.time(),
        moment.millis()
    )
}

/// Method and path of the request that did it; jobs are no requests.
fn request(event: &Event, moment: &Moment, base: &str) -> Option<(&'static str, String)> {
    let bill = format!("bill={}{:03}", moment.short(), event.serial);
    Some(match event.deed {
        Deed::LogIn => ("POST", format!("{base}/login")),
        Deed::LogOut => ("POST", format!("{base}/logout")),
        Deed::Query(module) => ("GET", format!("{base}/list/{}?page=1", module.code())),
        Deed::Job => return None,
        Deed::Release => ("POST", format!("{base}/release?{bill}")),
        Deed::Report => ("POST", format!("{base}/report?{bill}")),
        Deed::Correct => ("POST", format!("{base}/report/edit?{bill}")),
        Deed::Inspect => ("POST", format!("{base}/inspect?{bill}")),
        Deed::Receive => ("POST", format!("{base}/receive?{bill}")),
    })
}

/// Columns: id, title, business type (0 other, 1 insert, 2 update), method, request method, operator type, name,
/// department, URL, address, location, parameters, result, status, error, time. Queries are not logged by RuoYi.
fn ruoyi(event: &Event, by: &Account, moment: &Moment) -> Option<String> {
    let (title, kind, method, url) = match event.deed {
        Deed::LogIn => ("登录", 0, "SysLoginController.login()", "/login"),
        Deed::LogOut => ("退出", 0, "SysLoginController.logout()", "/logout"),
        Deed::Query(_) | Deed::Job => return None,
        Deed::Release => ("工单下达", 1, "OrderController.release()", "/mes/order"),
        Deed::Report => ("报工单", 1, "FeedbackController.add()", "/mes/feedback"),
        Deed::Correct => ("报工单", 2, "FeedbackController.edit()", "/mes/feedback"),
        Deed::Inspect => ("检验单", 1, "InspectController.add()", "/mes/inspect"),
        Deed::Receive => ("完工入库单", 1, "StockController.add()", "/mes/stock"),
    };
    let id = event.at_ms / 100;
    let parameters = match event.deed.module() {
        Some(_) => {
            format!("\"{{\"\"wo\"\":\"\"{}\"\",\"\"qty\"\":{}}}\"", moment.order(event), event.quantity)
        }
        None => String::new(),
    };
    Some(format!(
        "{id},{title},{kind},com.x.mes.web.{method},POST,1,{},{},{url},{},内网IP,{parameters},\"{{\"\"code\"\":200}}\",0,,{} {}",
        by.login,
        by.department,
        by.ip,
        moment.date,
        moment.time()
    ))
}

/// Environment: 0 log-in, 1 a business object was opened, 3 a business operation, 4 log-out.
fn kingdee(event: &Event, by: &Account, moment: &Moment) -> Option<String> {
    let bill = |prefix: &str| format!("{prefix}{}{:03}", moment.short(), event.serial);
    let saved = |what: &str, prefix: &str, did: &str| format!("编号为{}的{what}，{did}成功", bill(prefix));
    let (subsystem, object, environment, operation, text) = match event.deed {
        Deed::LogIn => ("", "", 0, "登入系统", "用户登入系统".to_owned()),
        Deed::LogOut => ("", "", 4, "退出系统", "用户退出系统".to_owned()),
        Deed::Query(module) => {
            ("32", object(module), 1, "进入业务对象", format!("进入{}列表", module.name()))
        }
        Deed::Job => return None,
        Deed::Release => ("32", "PRD_MO", 3, "审核", saved("生产订单", "SCDD", "审核")),
        Deed::Report => ("32", "PRD_MORPT", 3, "保存", saved("生产汇报单", "SCHB", "保存")),
        Deed::Correct => ("32", "PRD_MORPT", 3, "修改", saved("生产汇报单", "SCHB", "修改")),
        Deed::Inspect => ("41", "QM_InspectBill", 3, "提交", saved("检验单", "JYD", "提交")),
        Deed::Receive => ("21", "PRD_INSTOCK", 3, "审核", saved("生产入库单", "SCRK", "审核")),
    };
    Some(format!(
        "{} {}.{:03}|{}|100001|{subsystem}|{object}|{environment}|{operation}|{text}|{}|{}",
        moment.date,
        moment.time(),
        moment.millis(),
        by.number,
        by.terminal,
        by.ip
    ))
}

const fn object(module: Module) -> &'static str {
    match module {
        Module::Orders => "PRD_MO",
        Module::Reports => "PRD_MORPT",
        Module::Quality => "QM_InspectBill",
        Module::Stock => "PRD_INSTOCK",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::firm::Role;

    const BY: Account = Account {
        login: "wang01",
        number: 100_231,
        role: Role::Operator,
        shift: 0,
        ip: "192.168.1.61",
        terminal: "PC-CJ1-01",
        department: "一车间",
    };

    fn line(form: Form, deed: Deed) -> Option<String> {
        // 2026-07-23 08:21:45.112 in China.
        let event = Event { at_ms: 1_784_766_105_112, account: 0, deed, serial: 7, quantity: 48 };
        form.line(&event, &BY)
    }

    #[test]
    fn reports_look_as_each_system_writes_them() {
        let expected = [
            (
                Form::SpringBoot,
                "2026-07-23 08:21:45.112  INFO 5312 --- [nio-8080-exec-8] c.x.mes.report.ReportService : 报工成功 工单=MO260723-008 工序=20 数量=48 操作员=wang01",
            ),
            (
                Form::Tomcat,
                "192.168.1.61 - wang01 [23/Jul/2026:08:21:45 +0800] \"POST /mes/do/report?bill=260723007 HTTP/1.1\" 200 103",
            ),
            (
                Form::Nginx,
                "192.168.1.61 - - [23/Jul/2026:08:21:45 +0800] \"POST /prod-api/mes/report?bill=260723007 HTTP/1.1\" 200 103 \"http://192.168.1.5/\" \"Mozilla/5.0 (Windows NT 10.0)\"",
            ),
            (
                Form::RuoYi,
                "17847661051,报工单,1,com.x.mes.web.FeedbackController.add(),POST,1,wang01,一车间,/mes/feedback,192.168.1.61,内网IP,\"{\"\"wo\"\":\"\"MO260723-008\"\",\"\"qty\"\":48}\",\"{\"\"code\"\":200}\",0,,2026-07-23 08:21:45",
            ),
            (
                Form::Kingdee,
                "2026-07-23 08:21:45.112|100231|100001|32|PRD_MORPT|3|保存|编号为SCHB260723007的生产汇报单，保存成功|PC-CJ1-01|192.168.1.61",
            ),
        ];
        for (form, expected) in expected {
            assert_eq!(line(form, Deed::Report).as_deref(), Some(expected));
        }
    }

    #[test]
    fn systems_stay_silent_about_what_they_do_not_log() {
        assert_eq!(line(Form::RuoYi, Deed::Query(Module::Reports)), None);
        for form in [Form::Tomcat, Form::Nginx, Form::RuoYi, Form::Kingdee] {
            assert_eq!(line(form, Deed::Job), None);
        }
    }
}
