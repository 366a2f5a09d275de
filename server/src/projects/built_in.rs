//! The profiles and calendars this program carries, from the repository's `config/`.

pub(super) const PROFILES: &[(&str, &str)] = &[
    ("changchun", include_str!("../../../config/profiles/changchun.toml")),
    ("guangzhou", include_str!("../../../config/profiles/guangzhou.toml")),
    ("jiangmen", include_str!("../../../config/profiles/jiangmen.toml")),
    ("kunming", include_str!("../../../config/profiles/kunming.toml")),
    ("neutral", include_str!("../../../config/profiles/neutral.toml")),
];

pub(super) const CALENDARS: &[(&str, &str)] = &[
    ("cn-2023", include_str!("../../../config/calendars/cn-2023.toml")),
    ("cn-2024", include_str!("../../../config/calendars/cn-2024.toml")),
    ("cn-2025", include_str!("../../../config/calendars/cn-2025.toml")),
    ("cn-2026", include_str!("../../../config/calendars/cn-2026.toml")),
    ("cn-2027", include_str!("../../../config/calendars/cn-2027.toml")),
];
