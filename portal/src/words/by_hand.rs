//! How an expert checks each metric with paper and the firm's own screens.

use scorer::MetricId;

use crate::lang::Lang;

/// One sentence per metric.
pub(crate) fn by_hand(lang: Lang, id: MetricId) -> &'static str {
    match id {
        MetricId::M01 => lang.pick(
            "任选 5 个标为有动作和 5 个标为无动作的工作日，在业务系统里按制单日期查询单据，逐日核对有无。",
            "Pick five working days marked with actions and five without; query documents by creation date in the system and compare day by day.",
        ),
        MetricId::M02 => lang.pick(
            "取一周排班表，对照当周各班次的报工时间，看哪个班次没有任何记录。",
            "Take one week's shift plan and compare it with the times of reports: which shift has none?",
        ),
        MetricId::M03 => lang.pick(
            "请企业列出使用人员名单，与系统用户列表及现场网关显示的账号对照，当面请其中两人操作。",
            "Ask for the list of users, compare it with the system's accounts and those on the gateway's screen, and have two of them work in front of you.",
        ),
        MetricId::M04 => lang.pick(
            "按制单人统计一个月的单据数，看首位占比；问明是否为班组共用终端。",
            "Count one month's documents by author and see the share of the first; ask whether it is a shared terminal.",
        ),
        MetricId::M05 => lang.pick(
            "按模块导出评价期单据清单，剔除查询、登录和打印，与本表合计对照。",
            "Export the period's documents by module, leave out queries, sign-ins and prints, and compare the sums.",
        ),
        MetricId::M06 => lang.pick(
            "用同期发货单、发票或设备计数作分母，系统内单据作分子重新计算。",
            "Recompute with shipments, invoices or machine counters of the period below the line and documents in the system above it.",
        ),
        MetricId::M07 => lang.pick(
            "查看该日及其后 10 个工作日的原始单据，剔除测试数据，确认至少两人、六天有业务。",
            "Look at the raw documents of that day and the ten working days after it, leave out tests, and see that two people worked on six days.",
        ),
        MetricId::M08 => lang.pick(
            "从首次真实使用日数工作日到评定日，扣除已登记的停产日。",
            "Count working days from the first real use to the assessment and take out declared stops.",
        ),
        MetricId::M09 => lang.pick(
            "对照合同清单逐项打开模块，看评价期内有无本厂业务单据。",
            "Open each module of the contract and look for the firm's own documents of the period.",
        ),
        MetricId::M14 => lang.pick(
            "带设备清单走一遍车间，逐台看编号，请操作工启停一台，看本页曲线是否随动。",
            "Walk the floor with the list of devices, check each number, have one started and stopped and see whether its strip follows.",
        ),
        MetricId::M15 => lang.pick(
            "任选一台设备一周，用开机记录或点检表对照本页的在线时段。",
            "Pick one device and one week; compare its log book with the hours online here.",
        ),
        MetricId::M16 => lang.pick(
            "在现场网关屏幕上任选一小时，数采集点数，与应采点数对照；核对最长缺口的原因。",
            "On the gateway's screen pick one hour, count the samples against those due, and check the cause of the longest gap.",
        ),
        MetricId::M17 => lang.pick(
            "现场启停一台设备，看对应信号是否变化；请打开一段原始数据看有无噪声。",
            "Start and stop a device and see its signal change; have a stretch of raw data opened and look for noise.",
        ),
        MetricId::M20 => lang.pick(
            "按周统计单据数，比较通知前后；若有订单旺季，以发货单佐证。",
            "Count documents by week before and after the notice; where it was a busy season, ask for the shipments.",
        ),
        MetricId::M10 => lang.pick(
            "按制单人和登录地址筛出实施方账号的单据，问明当时为何由其操作，请本厂人员当面重做一笔。",
            "List documents by provider's accounts and addresses, ask why they worked then, and have the firm's own people repeat one.",
        ),
        MetricId::M11 => lang.pick(
            "任选 5 张单据，比对单据日期与系统的创建时间，看相差几个工作日。",
            "Pick five documents and compare their date with the time the system created them.",
        ),
        MetricId::M12 => lang.pick(
            "任选 10 张工单，从下达到入库逐步打开，看停在哪一步。",
            "Pick ten work orders and open each step from release to receipt: where does it stop?",
        ),
        MetricId::M13 => lang.pick(
            "任选 5 张销售订单，顺着单号找计划、工单、领料、报工、入库和发货。",
            "Pick five sales orders and follow their numbers through plan, work order, issue, report, receipt and delivery.",
        ),
        MetricId::M18 => lang.pick(
            "取一周报工单，对照设备当班的开机记录。",
            "Take one week of production reports and compare the machines' log books of the same shifts.",
        ),
        MetricId::M19 => lang.pick(
            "请企业指出由设备或扫码自动产生的单据，现场触发一次，看是否即时出现。",
            "Have a record made by a machine or a scanner triggered on the spot and see it appear at once.",
        ),
        MetricId::M21 => lang.pick(
            "打开所列日期的原始记录，看同一账号的时间间隔；请本人按平常速度操作一次。",
            "Open raw records of the days listed and look at one account's times; have that person work at the usual pace.",
        ),
        MetricId::M22 => lang.pick(
            "按记录编号排序，看创建时间是否随编号增大；对不上的请说明来源。",
            "Sort by record number and see whether creation times grow with it; ask where the others come from.",
        ),
        MetricId::M23 => lang.pick(
            "在网关上打开两段相同的数据逐值核对，并请现场启停该设备。",
            "Open both stretches on the gateway and compare them value by value, then have the machine started and stopped.",
        ),
        MetricId::M24 => lang.pick(
            "对照订阅合同和逐月单据数，数出有业务的月份。",
            "Compare the subscription with documents by month and count the months with business.",
        ),
        MetricId::M25 => lang.pick(
            "请企业出示改造前的系统、账号和单据，对照本次合同清单说明新增了什么。",
            "Ask for the system, accounts and documents from before, and what the contract adds to them.",
        ),
        MetricId::M26 => lang.pick(
            "对照培训签到表，请其中 5 人当面登录并做一笔本岗位业务。",
            "With the training's list of names, have five of them sign in and do one piece of their own work.",
        ),
        MetricId::M27 => lang.pick(
            "在系统中按周查看登录用户数，与申报席位对照。",
            "Look up the users that signed in each week and compare with the seats declared.",
        ),
        MetricId::M28 => lang.pick(
            "任选两次中断，请企业说明原因和恢复经过。",
            "Pick two interruptions and ask for cause and recovery.",
        ),
    }
}
