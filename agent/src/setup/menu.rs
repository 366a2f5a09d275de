//! What can be added, as far as this program can read it.

#[cfg(feature = "modbus")]
use super::modbus::Way;

/// What can be added.
#[derive(Debug, Clone, Copy)]
pub(super) enum Adding {
    Nothing,
    #[cfg(feature = "modbus")]
    Modbus(Way),
    #[cfg(feature = "opcua")]
    OpcUa,
    Log,
    #[cfg(feature = "sql")]
    Table,
    #[cfg(feature = "mqtt")]
    Mqtt,
}

impl Adding {
    pub(super) fn offered() -> Vec<(Self, &'static str, &'static str)> {
        vec![
            (Self::Nothing, "完成", "done"),
            #[cfg(feature = "modbus")]
            (Self::Modbus(Way::Tcp), "Modbus TCP 设备", "a Modbus TCP device"),
            #[cfg(feature = "modbus")]
            (
                Self::Modbus(Way::Serial),
                "本机串口上的 Modbus RTU 设备",
                "a Modbus RTU device on a serial port here",
            ),
            #[cfg(feature = "modbus")]
            (
                Self::Modbus(Way::Converter),
                "串口服务器（RTU over TCP）后的设备",
                "a device behind a converter (RTU over TCP)",
            ),
            #[cfg(feature = "modbus")]
            (
                Self::Modbus(Way::Dialling),
                "主动拨入的 4G 单元（DTU）后的设备",
                "a device behind a 4G unit that dials in",
            ),
            #[cfg(feature = "opcua")]
            (Self::OpcUa, "OPC UA 服务器", "an OPC UA server"),
            (Self::Log, "日志文件", "a log file"),
            #[cfg(feature = "sql")]
            (Self::Table, "业务系统数据库的审计表", "an audit table of a business system's database"),
            #[cfg(feature = "mqtt")]
            (Self::Mqtt, "MQTT 代理（厂里已有的网关）", "an MQTT broker (a gateway that the plant has)"),
        ]
    }
}
