package interop;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig.ClientVersionConfig;

/** KCL 3.5 shares leases as 2.x does if told so, and writes no row that 2.x could not read. */
final class Version {
    private Version() {}

    static CoordinatorConfig configured(CoordinatorConfig config) {
        return config.clientVersionConfig(
                ClientVersionConfig.CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1);
    }
}
