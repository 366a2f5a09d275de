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
    }
}
