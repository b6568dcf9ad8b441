export { MeshChannel, type ChannelServices } from './mesh-channel.js';
